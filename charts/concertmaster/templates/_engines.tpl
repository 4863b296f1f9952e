{{- /* Made by python -m charts.sync from the engines' declarations. */ -}}
{{- define "concertmaster.engines.definitions" -}}
{{- if .Values.engines.argo }}
- apiGroups: [argoproj.io]
  resources: [workflowtemplates, cronworkflows]
  verbs: [list]
{{- end }}
{{- if .Values.engines.tekton }}
- apiGroups: [tekton.dev]
  resources: [pipelines, tasks]
  verbs: [list]
{{- end }}
{{- if .Values.engines.cronJobs }}
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [list]
{{- end }}
{{- end -}}

{{- define "concertmaster.engines.clusterDefinitions" -}}
{{- if .Values.engines.argo }}
- apiGroups: [argoproj.io]
  resources: [clusterworkflowtemplates]
  verbs: [list]
{{- end }}
{{- end -}}

{{- define "concertmaster.engines.runs" -}}
{{- if .Values.engines.argo }}
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [list, watch]
{{- end }}
{{- if .Values.engines.tekton }}
- apiGroups: [tekton.dev]
  resources: [pipelineruns]
  verbs: [list, watch]
- apiGroups: [tekton.dev]
  resources: [taskruns]
  verbs: [list]
{{- end }}
{{- if .Values.engines.cronJobs }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  verbs: [list, watch]
{{- end }}
{{- if .Values.engines.rayJobs }}
- apiGroups: [ray.io]
  resources: [rayjobs]
  verbs: [list, watch]
{{- end }}
{{- if .Values.engines.podLabels }}
- apiGroups: [ray.io]
  resources: [rayjobs]
  verbs: [list, watch]
- apiGroups: [sparkoperator.k8s.io]
  resources: [sparkapplications]
  verbs: [list, watch]
- apiGroups: [trainer.kubeflow.org]
  resources: [trainjobs]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{- define "concertmaster.engines.changes" -}}
{{- if .Values.engines.argo }}
- apiGroups: [argoproj.io]
  resources: [workflowtemplates, cronworkflows]
  verbs: [get, patch]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [list]
{{- end }}
{{- if .Values.engines.tekton }}
- apiGroups: [tekton.dev]
  resources: [pipelines, tasks]
  verbs: [get, patch]
{{- end }}
{{- if .Values.engines.cronJobs }}
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, patch]
{{- end }}
{{- end -}}
