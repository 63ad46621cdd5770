{{- define "ditto.selector" -}}
app.kubernetes.io/name: ditto-avatar
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "ditto.labels" -}}
{{ include "ditto.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ditto.claim" -}}
{{ .Values.data.existingClaim | default (printf "%s-data" .Release.Name) }}
{{- end }}

{{- /* "yes" where several servers share a database; nothing where one is alone. */ -}}
{{- define "ditto.shared" -}}
{{- if or (gt (int .Values.server.replicas) 1) .Values.server.autoscaling.enabled -}}
{{- if not (and .Values.database.secret .Values.server.trustedProxies) -}}
{{- fail "several servers need database.secret (PostgreSQL) and server.trustedProxies (the network of the pods)" -}}
{{- end -}}
yes
{{- end -}}
{{- end }}

{{- /* The names by which visitors reach the server. */ -}}
{{- define "ditto.hosts" -}}
{{- $hosts := list -}}
{{- if .Values.ingress.enabled }}{{ $hosts = append $hosts .Values.ingress.host }}{{ end -}}
{{- if .Values.gateway.enabled }}{{ $hosts = append $hosts .Values.gateway.host }}{{ end -}}
{{ $hosts | uniq | join "," }}
{{- end }}

{{- /* Rights of a pod, and of each of its containers. */ -}}
{{- define "ditto.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "ditto.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "ditto.workerImage" -}}
"{{ .Values.image.repository }}:{{ .Values.workers.tag | default .Values.image.tag | default .Chart.AppVersion }}"
{{- end }}

{{- /* The secret that workers and servers share, and the certificates of one side (`tls`). */ -}}
{{- define "ditto.workerSecrets" -}}
{{- with .root.Values.workers.secret -}}
- name: DITTO_WORKER_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: DITTO_WORKER_TOKEN}
{{- end }}
{{- if .tls }}
- {name: DITTO_WORKER_CERTIFICATE, value: /certificates/tls.crt}
- {name: DITTO_WORKER_KEY, value: /certificates/tls.key}
- {name: DITTO_WORKER_CA, value: /certificates/ca.crt}
{{- end }}
{{- end }}

{{- define "ditto.certificates" -}}
- name: certificates
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}

{{- define "ditto.workerLimits" -}}
{{- $limits := .Values.workers.resources.limits | default dict }}
{{- if .Values.workers.gpus }}
{{- $limits = merge (dict .Values.gpu.resource .Values.workers.gpus) $limits }}
{{- end }}
{{- toYaml $limits }}
{{- end }}

{{- /* What a worker reads and writes, as a Deployment's pod and as a node of Ray. */ -}}
{{- define "ditto.workerMounts" -}}
- {name: data, mountPath: /data}
- {name: cache, mountPath: /cache}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
{{- if .Values.workers.checkpointsClaim }}
- {name: checkpoints, mountPath: /checkpoints, readOnly: true}
{{- end }}
{{- end }}

{{- define "ditto.workerVolumes" -}}
- name: data
  emptyDir: {sizeLimit: 1Gi}
- name: cache
  emptyDir: {sizeLimit: 8Gi}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: 1Gi}
{{- with .Values.workers.checkpointsClaim }}
- name: checkpoints
  persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
{{- end }}
{{- end }}
