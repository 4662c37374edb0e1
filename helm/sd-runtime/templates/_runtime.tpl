{{- /* A route that answers during a job and not before the runtime can take one. */}}
{{- define "sd-runtime.probe" -}}
httpGet:
  path: {{ get (dict "comfyui" "/system_stats" "a1111" "/sdapi/v1/options") .Values.runtime.type }}
  port: runtime
{{- end }}

{{- /* Arguments as a YAML list: the chart's own, then the user's. */}}
{{- define "sd-runtime.runtimeArgs" -}}
{{- $args := list }}
{{- if .Values.runtime.chartArgs }}
{{- $port := .Values.runtime.port | int | toString }}
{{- if eq .Values.runtime.type "comfyui" }}
{{- $args = list "--listen" "0.0.0.0" "--port" $port "--disable-auto-launch"
  "--input-directory" "/data/input" "--output-directory" "/data/output" "--temp-directory" "/data" "--user-directory" "/data/user" }}
{{- if include "sd-runtime.modelPaths" . }}
{{- $args = concat $args (list "--extra-model-paths-config" "/model-paths/extra_model_paths.yaml") }}
{{- end }}
{{- else }}
{{- /* Without its page: the API is there from the start, and a stopped one ends only after the jobs it holds. */}}
{{- $args = list "--listen" "--port" $port "--api" "--nowebui" "--skip-prepare-environment" "--no-download-sd-model" "--data-dir" "/data" }}
{{- if ne .Values.models.mode "image" }}
{{- $folders := .Values.models.folders }}
{{- range $pair := list
  (list "--ckpt-dir" $folders.checkpoints)
  (list "--lora-dir" $folders.loras)
  (list "--vae-dir" $folders.vae)
  (list "--embeddings-dir" $folders.embeddings)
  (list "--esrgan-models-path" $folders.upscaleModels)
}}
{{- with last $pair }}
{{- $args = concat $args (list (first $pair) (printf "/models/%s" .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with concat $args .Values.runtime.args }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- /* Variables: the volume `data` as home, unless the user says otherwise. */}}
{{- define "sd-runtime.runtimeEnv" -}}
{{- $env := .Values.runtime.env }}
{{- $named := dict }}
{{- range $env }}
{{- $_ := set $named .name true }}
{{- end }}
{{- range list (dict "name" "TMPDIR" "value" "/tmp") (dict "name" "HOME" "value" "/data") }}
{{- if not (hasKey $named .name) }}
{{- $env = prepend $env . }}
{{- end }}
{{- end }}
{{- toYaml $env }}
{{- end }}

{{- define "sd-runtime.runtimeMounts" -}}
- name: data
  mountPath: /data
{{- if and .Values.runtime.chartArgs (eq .Values.runtime.type "comfyui") }}
# ComfyUI lists its input folder without making it.
- name: data
  mountPath: /data/input
  subPath: input
{{- end }}
- name: tmp
  mountPath: /tmp
{{- range .Values.runtime.writable }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
{{- end }}
{{- if ne .Values.models.mode "image" }}
- name: models
  mountPath: /models
  readOnly: true
{{- end }}
{{- if include "sd-runtime.modelPaths" . }}
- name: model-paths
  mountPath: /model-paths
  readOnly: true
{{- if eq .Values.models.mode "mount" }}
# Alone in its folder: ComfyUI would take what else is in a ConfigMap's for nodes.
- name: model-paths
  mountPath: /chart-nodes/fresh_models.py
  subPath: fresh_models.py
  readOnly: true
{{- end }}
{{- end }}
{{- if .Values.extensions.image.repository }}
- name: extensions
  mountPath: {{ eq .Values.runtime.type "comfyui" | ternary "/extensions" "/data/extensions" }}
{{- end }}
{{- end }}

{{- define "sd-runtime.runtimeContainer" -}}
name: runtime
image: {{ include "sd-runtime.image" .Values.runtime.image }}
imagePullPolicy: {{ .Values.runtime.image.pullPolicy }}
restartPolicy: Always
{{- with include "sd-runtime.runtimeArgs" . }}
args:
  {{- . | nindent 2 }}
{{- end }}
env:
  {{- include "sd-runtime.runtimeEnv" . | nindent 2 }}
ports:
  - name: runtime
    containerPort: {{ int .Values.runtime.port }}
startupProbe:
  {{- include "sd-runtime.probe" . | nindent 2 }}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: {{ div (add (int .Values.runtime.startupSeconds) 2) 3 }}
{{- with int .Values.runtime.hungSeconds }}
# While a model is loaded or a picture decoded no answer may come for minutes; only one that stays silent is hung.
livenessProbe:
  {{- include "sd-runtime.probe" $ | nindent 2 }}
  periodSeconds: 30
  timeoutSeconds: 20
  failureThreshold: {{ div (add . 29) 30 }}
{{- end }}
{{- with .Values.runtime.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  readOnlyRootFilesystem: {{ .Values.runtime.readOnlyRoot }}
  runAsNonRoot: true
  runAsUser: {{ int .Values.runtime.uid }}
  runAsGroup: {{ int .Values.runtime.gid }}
volumeMounts:
  {{- include "sd-runtime.runtimeMounts" . | nindent 2 }}
{{- end }}
