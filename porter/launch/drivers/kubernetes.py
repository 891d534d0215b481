"""Jobs in the pods of a Kubernetes cluster."""

from __future__ import annotations

from typing import Any

from porter.launch.drivers.bucket import BucketDriver
from porter.launch.drivers.containers import refuse_long
from porter.records.jobs import JobRequest


class KubernetesDriver(BucketDriver):
    """Runs each job as a Kubernetes Job, one pod a node, on the cluster of ``KUBECONFIG``.

    The SDK gives several nodes all variables that TAO's launcher reads, and each pod has its own copy of the
    spec. It writes a job's secrets into the description of its pods: who may read those reads them.
    """

    title = "Kubernetes"
    module = "kubernetes"
    sdk_class = "KubernetesSDK"
    reach = "kubectl get nodes; KUBECONFIG names the file of the cluster, TAO_K8S_CONTEXT its context"
    start_hint = "kubectl auth can-i create jobs; TAO_K8S_NAMESPACE names another namespace"
    several = True

    def _arguments(self, request: JobRequest) -> dict[str, Any]:
        command = refuse_long(self._entrypoint(request), request)
        return {"command": command, "num_nodes": request.nodes}
