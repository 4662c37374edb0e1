{{- /* extra_model_paths.yaml of ComfyUI; empty when nothing lies outside its image. */}}
{{- define "sd-runtime.modelPaths" -}}
{{- if eq .Values.runtime.type "comfyui" }}
{{- $folders := .Values.models.folders }}
{{- if ne .Values.models.mode "image" }}
bucket:
  base_path: /models
  {{- range list
    (list "checkpoints" $folders.checkpoints)
    (list "loras" $folders.loras)
    (list "vae" $folders.vae)
    (list "embeddings" $folders.embeddings)
    (list "upscale_models" $folders.upscaleModels)
    (list "controlnet" $folders.controlnet)
    (list "diffusion_models" $folders.diffusionModels)
    (list "text_encoders" $folders.textEncoders)
    (list "clip_vision" $folders.clipVision)
  }}
  {{- if last . }}
  {{ first . }}: {{ last . }}
  {{- end }}
  {{- end }}
{{- end }}
{{- if .Values.extensions.image.repository }}
extensions:
  custom_nodes: /extensions
{{- end }}
{{- if eq .Values.models.mode "mount" }}
chart:
  custom_nodes: /chart-nodes
{{- end }}
{{- end }}
{{- end }}

{{- /* ComfyUI keeps a folder's list until the folder's time changes, and all of Mountpoint's have the mount's time. */}}
{{- define "sd-runtime.freshModels" -}}
"""Lets ComfyUI see models that are new in a mounted bucket."""

import threading
import time

import folder_paths

SECONDS = {{ int .Values.models.mount.listingSeconds }}


def age():
    """Make each kept list older than its folders, so that the next question reads them again."""
    for _names, folders, *_rest in list(folder_paths.filename_list_cache.values()):
        for folder in list(folders):
            folders[folder] = -1.0


def keep_aging():
    while True:
        time.sleep(SECONDS)
        age()


threading.Thread(target=keep_aging, daemon=True).start()
NODE_CLASS_MAPPINGS = {}
{{- end }}

{{- /* A volume's source and options never change, so another bucket or option gives it another name. */}}
{{- define "sd-runtime.volumeName" -}}
{{- $hash := list .Values.models.bucket .Values.models.prefix .Values.models.mount .Values.aws.region .Values.runtime.uid .Values.runtime.gid | toJson | sha256sum | trunc 8 }}
{{- printf "%s-%s-models-%s" .Release.Namespace .Release.Name $hash }}
{{- end }}

{{- /* The container that copies models; `refresh` makes it stay and look again. */}}
{{- define "sd-runtime.copyContainer" -}}
{{- $values := .context.Values -}}
name: {{ .refresh | ternary "models-refresh" "models" }}
image: {{ include "sd-runtime.image" $values.agent.image }}
imagePullPolicy: {{ $values.agent.image.pullPolicy }}
{{- if .refresh }}
restartPolicy: Always
{{- end }}
# The image's entry point is `python -m`.
args: [agent.fetch_models]
env:
  {{- $env := list
    (list "SD_MODELS_BUCKET" $values.models.bucket)
    (list "SD_MODELS_PREFIX" $values.models.prefix)
    (list "SD_MODELS_FOLDERS" (values $values.models.folders | sortAlpha | uniq | compact | join ","))
    (list "SD_MODELS_INCLUDE" (join "," $values.models.copy.include))
    (list "SD_MODELS_TARGET" "/models")
    (list "SD_MODELS_GBPS" (int $values.models.copy.gigabitsPerSecond))
    (list "SD_MODELS_REFRESH_S" (.refresh | ternary (int $values.models.copy.refreshSeconds) 0))
    (list "AWS_REGION" $values.aws.region)
  }}
  {{- with $values.aws.endpointUrl }}
  {{- $env = append $env (list "AWS_ENDPOINT_URL" .) }}
  {{- end }}
  {{- range $env }}
  - name: {{ first . }}
    value: {{ last . | quote }}
  {{- end }}
{{- with $values.models.copy.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "sd-runtime.restricted" .context | nindent 2 }}
volumeMounts:
  - name: models
    mountPath: /models
  - name: scratch
    mountPath: /tmp
{{- end }}

{{- define "sd-runtime.extensionsContainer" -}}
name: extensions
image: {{ include "sd-runtime.image" .Values.extensions.image }}
imagePullPolicy: {{ .Values.extensions.image.pullPolicy }}
command: [cp, -R, {{ printf "%s/." (trimSuffix "/" .Values.extensions.path) | quote }}, /target]
resources:
  requests:
    cpu: 100m
    memory: 64Mi
  limits:
    memory: 256Mi
# As the runtime's user, since custom nodes write beside their code.
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: {{ int .Values.runtime.uid }}
  runAsGroup: {{ int .Values.runtime.gid }}
volumeMounts:
  - name: extensions
    mountPath: /target
{{- end }}

{{- define "sd-runtime.volumes" -}}
- name: scratch
  emptyDir:
    sizeLimit: {{ .Values.agent.scratchSize }}
- name: data
  emptyDir:
    sizeLimit: {{ .Values.runtime.dataSize }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.runtime.dataSize }}
{{- range .Values.runtime.writable }}
- name: {{ .name }}
  emptyDir:
    sizeLimit: {{ .size }}
{{- end }}
{{- if eq .Values.models.mode "copy" }}
- name: models
  emptyDir:
    sizeLimit: {{ .Values.models.copy.size }}
{{- else if eq .Values.models.mode "mount" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .Values.models.mount.claim | default (include "sd-runtime.volumeName" .) }}
    readOnly: true
{{- end }}
{{- if include "sd-runtime.modelPaths" . }}
- name: model-paths
  configMap:
    name: {{ .Release.Name }}-model-paths
{{- end }}
{{- if .Values.extensions.image.repository }}
- name: extensions
  emptyDir:
    sizeLimit: {{ .Values.extensions.size }}
{{- end }}
{{- end }}
