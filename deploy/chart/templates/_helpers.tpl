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
