# The image of the server and of the worker.
#
#   docker build -t ditto-avatar:cpu .
#   docker build -t ditto-avatar:cuda --build-arg VARIANT=cuda .
#   docker build -t ditto-avatar:ray --build-arg VARIANT=cuda --build-arg RAY=ray==2.60.0 .
#
# Both start from Debian and its own Python. The driver of a GPU comes from NVIDIA's container
# toolkit and CUDA's libraries from PyTorch's wheels, so no base with CUDA is needed.
ARG BASE=docker.io/library/debian:bookworm-slim
ARG VARIANT=cpu

FROM ${BASE} AS python
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates python3 tini \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*.log /var/log/apt

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends binutils python3-venv \
 && python3 -m venv /opt/ditto
WORKDIR /build
# What changes seldom makes layers of its own: first PyTorch, then what the lock names.
ARG VARIANT
ARG TORCH=torch==2.13.0
# A network that needs certificates or settings of its own lends them as secrets; none is required.
COPY requirements/image-${VARIANT}.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    if [ "${VARIANT}" = cuda ]; then /opt/ditto/bin/pip install --no-cache-dir "${TORCH}"; fi
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    /opt/ditto/bin/pip install --no-cache-dir --require-hashes \
      --requirement "requirements/image-${VARIANT}.txt"
# For nodes of a Ray cluster; like PyTorch it is not in the lock.
ARG RAY=
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    if [ -n "${RAY}" ]; then /opt/ditto/bin/pip install --no-cache-dir "${RAY}"; fi
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
# The package itself brings nothing: everything it needs is in the lock. What only builds it, and what
# packages carry that nobody loads, stays behind: their tests, symbols, a static library, and ONNX
# Runtime's library for other languages.
RUN PACKAGES=$(/opt/ditto/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))') \
 && /opt/ditto/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && if [ "${VARIANT}" = cpu ]; then /opt/ditto/bin/pip uninstall --yes setuptools; fi \
 && /opt/ditto/bin/pip uninstall --yes hatchling editables pathspec pluggy trove-classifiers pip \
 && find "$PACKAGES" -type d -name tests ! -path '*/torch/*' -prune -exec rm -rf {} + \
 && rm -rf "${PACKAGES:?}"/lib64 "${PACKAGES:?}"/c2pa/libs/*.rlib \
      "${PACKAGES:?}"/onnxruntime/quantization "${PACKAGES:?}"/onnxruntime/tools \
      "${PACKAGES:?}"/onnxruntime/transformers \
 && if [ "${VARIANT}" = cpu ]; then rm -f "${PACKAGES:?}"/onnxruntime/capi/libonnxruntime.so.*; fi \
 && find "$PACKAGES" -name '*.so' ! -path '*.libs/*' ! -path '*/torch/*' ! -path '*/nvidia/*' \
      ! -path '*/triton/*' -exec strip --strip-unneeded {} +

FROM python AS server
ARG VARIANT
# Triton compiles a small C module for each of its kernels at run time, against Python.h. Without
# a compiler Ditto falls back to a slower way to run.
# hadolint ignore=DL3008
RUN if [ "${VARIANT}" = cuda ]; then \
      apt-get update \
      && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
           gcc libc6-dev python3-dev \
      && apt-get clean \
      && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*.log /var/log/apt; \
    fi
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Ditto Avatar" \
      org.opencontainers.image.description="A self-hosted talking avatar that answers in real time" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.variant="${VARIANT}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data \
      --shell /usr/sbin/nologin ditto \
 && install --directory --owner=ditto --group=ditto --mode=0700 /data /cache
COPY --from=build /opt/ditto /opt/ditto
# KubeRay starts nodes by a shell that may set PATH anew.
RUN if [ -e /opt/ditto/bin/ray ]; then ln -s /opt/ditto/bin/ray /usr/local/bin/ray; fi
# The root may be read-only: only /data, /cache and /tmp are written to.
ENV PATH=/opt/ditto/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TORCHINDUCTOR_CACHE_DIR=/cache/inductor \
    TRITON_CACHE_DIR=/cache/triton \
    DITTO_HOST=0.0.0.0 \
    DITTO_PORT=7136 \
    DITTO_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/cache"]
EXPOSE 7136
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['DITTO_PORT'] + '/readyz', timeout=4)"]
ENTRYPOINT ["tini", "--", "ditto-avatar"]
CMD ["serve"]
