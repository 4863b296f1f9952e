{{- define "concertmaster.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimAll "-" -}}
{{- end -}}

{{- define "concertmaster.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimAll "-" -}}
{{- else -}}
{{- $name := include "concertmaster.name" . -}}
{{- /* Helm lets a release have dots in its name, the API server no Service. */ -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if contains $name $release -}}
{{- $release | trunc 50 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 50 | trimAll "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "concertmaster.selectorLabels" -}}
app.kubernetes.io/name: {{ include "concertmaster.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- /* A label of the values with the key of one of the chart's own does not replace it: selectors and uninstalling rest on these. */ -}}
{{- define "concertmaster.labels" -}}
{{- $own := fromYaml (include "concertmaster.selectorLabels" .) -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "concertmaster" -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- merge $own (.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{- /* The same of an object with `labels` of its own in the values, by which something else selects it: they win. */ -}}
{{- define "concertmaster.labelsWith" -}}
{{- merge (deepCopy (.labels | default dict)) (fromYaml (include "concertmaster.labels" .root)) | toYaml -}}
{{- end -}}

{{- define "concertmaster.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "concertmaster.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "concertmaster.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* Where a value that comes from a Secret is mounted. The name of the source is a DNS label, `what` is ours. */ -}}
{{- define "concertmaster.secretFile" -}}
{{- printf "/etc/concertmaster/secrets/%s/%s" .source .what -}}
{{- end -}}

{{- /*
One source as the operator's configuration wants it: references to Secrets become paths of the files they are mounted
at. Called with the source; prints YAML.
*/ -}}
{{- define "concertmaster.source" -}}
{{- $source := deepCopy . -}}
{{- $name := .name -}}
{{- with (.auth).basic -}}
{{- if .passwordSecret -}}
{{- $_ := set $source.auth "basic" (set (omit . "passwordSecret") "passwordFile" (include "concertmaster.secretFile" (dict "source" $name "what" "password"))) -}}
{{- end -}}
{{- end -}}
{{- if (.auth).bearerTokenSecret -}}
{{- $_ := set $source "auth" (set (omit $source.auth "bearerTokenSecret") "bearerTokenFile" (include "concertmaster.secretFile" (dict "source" $name "what" "token"))) -}}
{{- end -}}
{{- with .tls -}}
{{- $tls := deepCopy . -}}
{{- if or .caSecret .caConfigMap -}}
{{- $tls = set (omit $tls "caSecret" "caConfigMap") "caFile" (include "concertmaster.secretFile" (dict "source" $name "what" "ca.crt")) -}}
{{- end -}}
{{- if .certSecret -}}
{{- $tls = set (omit $tls "certSecret") "certFile" (include "concertmaster.secretFile" (dict "source" $name "what" "tls.crt")) -}}
{{- end -}}
{{- if .keySecret -}}
{{- $tls = set (omit $tls "keySecret") "keyFile" (include "concertmaster.secretFile" (dict "source" $name "what" "tls.key")) -}}
{{- end -}}
{{- $_ := set $source "tls" $tls -}}
{{- end -}}
{{- range $header, $value := .headers -}}
{{- if kindIs "map" $value -}}
{{- if $value.valueSecret -}}
{{- $_ := set $source.headers $header (dict "valueFile" (include "concertmaster.secretFile" (dict "source" $name "what" (printf "header-%s" $header)))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $source -}}
{{- end -}}

{{- /* Parts of the projected volume of one source: a list of projections, empty when it needs none. */ -}}
{{- define "concertmaster.projections" -}}
{{- $found := list -}}
{{- with ((.auth).basic).passwordSecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "password")))) -}}
{{- end -}}
{{- with (.auth).bearerTokenSecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "token")))) -}}
{{- end -}}
{{- with (.tls).caSecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "ca.crt")))) -}}
{{- end -}}
{{- with (.tls).caConfigMap -}}
{{- $found = append $found (dict "configMap" (dict "name" .name "items" (list (dict "key" .key "path" "ca.crt")))) -}}
{{- end -}}
{{- with (.tls).certSecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "tls.crt")))) -}}
{{- end -}}
{{- with (.tls).keySecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "tls.key")))) -}}
{{- end -}}
{{- range $header, $value := .headers -}}
{{- if kindIs "map" $value -}}
{{- with $value.valueSecret -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" (printf "header-%s" $header))))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- toYaml $found -}}
{{- end -}}
{{- end -}}

{{- /* One receiver of notifications as the operator's configuration wants it; Secrets become paths as for sources. */ -}}
{{- define "concertmaster.receiver" -}}
{{- $receiver := deepCopy . -}}
{{- $place := printf "receiver-%s" .name -}}
{{- if .urlSecret -}}
{{- $receiver = set (omit $receiver "urlSecret") "urlFile" (include "concertmaster.secretFile" (dict "source" $place "what" "url")) -}}
{{- end -}}
{{- if .signingKeySecret -}}
{{- $receiver = set (omit $receiver "signingKeySecret") "signingKeyFile" (include "concertmaster.secretFile" (dict "source" $place "what" "key")) -}}
{{- end -}}
{{- if .caSecret -}}
{{- $receiver = set (omit $receiver "caSecret") "caFile" (include "concertmaster.secretFile" (dict "source" $place "what" "ca.crt")) -}}
{{- end -}}
{{- toYaml $receiver -}}
{{- end -}}

{{- /* Parts of the projected volume of one receiver, empty when it names files that are mounted otherwise. */ -}}
{{- define "concertmaster.receiverProjections" -}}
{{- $found := list -}}
{{- range $field, $path := dict "urlSecret" "url" "signingKeySecret" "key" "caSecret" "ca.crt" -}}
{{- with index $ $field -}}
{{- $found = append $found (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" $path)))) -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- toYaml $found -}}
{{- end -}}
{{- end -}}

{{- /* A quantity of bytes as a number; empty when its suffix is a rare one. */ -}}
{{- define "concertmaster.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- with get $units (trimPrefix $number .) -}}
{{- mulf (float64 $number) (float64 .) -}}
{{- end -}}
{{- end -}}

{{- /* The operator's configuration file. */ -}}
{{- define "concertmaster.config" -}}
interval: {{ .Values.config.interval | quote }}
historyPath: /var/lib/concertmaster/history.db
{{- with .Values.history }}
{{- if .url }}
{{- $size := .cacheSize | default "1Gi" }}
history: {url: {{ .url | quote }}, schema: {{ .schema | quote }}, cacheSize: {{ $size | quote }}}
{{- if .persistence.enabled }}
{{- fail "history.persistence.enabled: the history is in the database of history.url; nothing would be kept in the claim" }}
{{- end }}
{{- $cache := include "concertmaster.bytes" $size }}
{{- $room := include "concertmaster.bytes" .sizeLimit }}
{{- if and $cache $room }}
{{- if gt (mulf 1.2 (float64 $cache)) (float64 $room) }}
{{- fail (printf "history.cacheSize: %s does not fit into the emptyDir of history.sizeLimit, %s, which has to be at least 20%% larger: the kubelet would evict the pod" $size .sizeLimit) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $archive := dict "argoArchive" .Values.argoArchive "tektonResults" .Values.tektonResults }}
{{- with $archive }}
{{- if and .url (not (or (contains "@" .url) (contains "user=" .url) (and .secret.name .secret.userKey))) }}
{{- fail (printf "%s: no user is named; write it into %s.url, or name %s.secret.name with userKey" $name $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.argoArchive }}
{{- if .url }}
argoArchive:
  url: {{ .url | quote }}
  table: {{ .table | quote }}
  clusterName: {{ .clusterName | quote }}
  instanceId: {{ .instanceId | quote }}
  {{- if .secret.name }}
  {{- if .secret.userKey }}
  usernameFile: {{ include "concertmaster.secretFile" (dict "source" "argo_archive" "what" "username") }}
  {{- end }}
  passwordFile: {{ include "concertmaster.secretFile" (dict "source" "argo_archive" "what" "password") }}
  {{- end }}
{{- end }}
{{- end }}
{{- with .Values.tektonResults }}
{{- if .url }}
tektonResults:
  url: {{ .url | quote }}
  table: {{ .table | quote }}
  {{- if .secret.name }}
  {{- if .secret.userKey }}
  usernameFile: {{ include "concertmaster.secretFile" (dict "source" "tekton_results" "what" "username") }}
  {{- end }}
  passwordFile: {{ include "concertmaster.secretFile" (dict "source" "tekton_results" "what" "password") }}
  {{- end }}
{{- end }}
{{- end }}
logLevel: {{ .Values.config.logLevel }}
{{- if not .Values.config.live }}
live: false
{{- end }}
listen: {address: "::", port: {{ .Values.service.port }}}
namespaces: {{ toJson .Values.namespaces }}
limits: {{ toJson .Values.config.limits }}
clusterTemplateOwners: {{ toJson .Values.config.clusterTemplateOwners }}
{{- with .Values.reads.argoNamespace }}
argoNamespace: {{ . | quote }}
{{- end }}
sources:
{{- range required "sources: name at least one metrics source" .Values.sources }}
- {{ include "concertmaster.source" . | nindent 2 | trim }}
{{- end }}
{{- with .Values.receivers }}
receivers:
{{- range . }}
- {{ include "concertmaster.receiver" . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Rules for everything inside namespaces; for a ClusterRole as for a Role. */ -}}
{{- define "concertmaster.rules" -}}
# Our own kinds: discovery makes, relabels and withdraws profiles; the analysis is written to status only.
- apiGroups: [concertmaster.dev]
  resources: [workflowprofiles]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [concertmaster.dev]
  resources: [optimizationpolicies]
  verbs: [get, list, watch]
- apiGroups: [concertmaster.dev]
  resources: [workflowchanges]
  verbs: [list, watch]
- apiGroups: [concertmaster.dev]
  resources: [workflowprofiles/status, optimizationpolicies/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.namespaces }}
# The namespace's own labels, for namespaceSelector of a metrics source.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}
# What binds parallelism and sizes.
- apiGroups: [""]
  resources: [limitranges, resourcequotas]
  verbs: [list]
# Definitions of workflows: read, never changed by this role.
{{ include "concertmaster.engines.definitions" . }}
{{- if .Values.config.live }}
# Finished runs, read from their objects as they end.
{{ include "concertmaster.engines.runs" . }}
{{- if .Values.reads.argoConfigMaps }}
# Sizes of semaphores and what lies in caches, by name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end }}
{{- if .Values.reads.kueueWorkloads }}
# Which queue suspended a run, and for how long.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end }}
{{- end }}
{{- end -}}
