{{- define "sd-runtime.runtimeName" -}}
{{- default .Release.Name .Values.runtime.name -}}
{{- end }}

{{- define "sd-runtime.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default .Release.Name .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "sd-runtime.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sd-runtime.labels" -}}
{{ include "sd-runtime.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* repository[:tag][@digest] of an image's values. */}}
{{- define "sd-runtime.image" -}}
{{- .repository -}}
{{- with .tag }}:{{ . }}{{ end -}}
{{- with .digest }}@{{ . }}{{ end -}}
{{- end }}

{{- /* What the Pod Security Standard `restricted` asks of a container; the pod's seccomp profile is the rest. */}}
{{- define "sd-runtime.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
{{- end }}

{{- define "sd-runtime.agentEnv" -}}
- name: SD_AGENT_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: SD_POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- $env := list
  (list "SD_RUNTIME_NAME" (include "sd-runtime.runtimeName" .))
  (list "SD_RUNTIME_TYPE" .Values.runtime.type)
  (list "SD_RUNTIME_URL" (printf "http://127.0.0.1:%d" (int .Values.runtime.port)))
  (list "SD_QUEUE_URL" .Values.queue.url)
  (list "SD_JOBS_TABLE" .Values.store.jobsTable)
  (list "SD_RESULTS_TOPIC_ARN" .Values.store.resultsTopicArn)
  (list "SD_OUTPUT_BUCKET" .Values.store.outputBucket)
  (list "SD_INPUT_BUCKET" .Values.store.inputBucket)
  (list "SD_FILE_BUCKETS" (join "," .Values.store.fileBuckets))
  (list "SD_JOB_TIMEOUT_S" (int .Values.job.timeoutSeconds))
  (list "SD_VISIBILITY_S" (int .Values.queue.visibilityTimeoutSeconds))
  (list "SD_HEARTBEAT_S" (int .Values.job.heartbeatSeconds))
  (list "SD_LEASE_S" (int .Values.job.leaseSeconds))
  (list "SD_MAX_ATTEMPTS" (int .Values.job.maxAttempts))
  (list "SD_GRACE_PERIOD_S" (int .Values.terminationGracePeriodSeconds))
  (list "SD_JOBS_AHEAD" (int .Values.agent.jobsAhead))
  (list "SD_HUNG_AFTER_S" (int .Values.runtime.stuckSeconds))
  (list "SD_RUNTIME_WAIT_S" (int .Values.runtime.waitSeconds))
  (list "SD_LEAST_FREE_MIB" (int .Values.runtime.leastFreeMib))
  (list "SD_RETENTION_DAYS" (int .Values.job.retentionDays))
  (list "SD_HEALTH_PORT" (int .Values.agent.healthPort))
  (list "SD_LOG_LEVEL" .Values.agent.logLevel)
  (list "SD_LOG_FORMAT" .Values.agent.logFormat)
  (list "SD_METRICS" .Values.observability.metrics)
  (list "AWS_REGION" .Values.aws.region)
}}
{{- if .Values.agent.sharedOutput }}
{{- $env = append $env (list "SD_OUTPUT_FOLDER" "/runtime-output") }}
{{- end }}
{{- with .Values.aws.endpointUrl }}
{{- $env = append $env (list "AWS_ENDPOINT_URL" .) }}
{{- end }}
{{- with .Values.observability.otlpEndpoint }}
{{- $env = append $env (list "OTEL_EXPORTER_OTLP_ENDPOINT" .) }}
{{- end }}
{{- range $env }}
- name: {{ first . }}
  value: {{ last . | quote }}
{{- end }}
{{- with .Values.agent.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
