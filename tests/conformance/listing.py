# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a healthy server below its data directory, by mode, as recorded in {rke2,k3s}-healthy-*.txt."""

from __future__ import annotations

LISTINGS = {
    "rke2": {
        "-rw-------": """
            agent/client-ca.crt agent/client-kube-proxy.crt agent/client-kube-proxy.key agent/client-kubelet.crt
            agent/client-kubelet.key agent/client-rke2-controller.crt agent/client-rke2-controller.key
            agent/etc/crictl.yaml agent/etc/kubelet.conf.d/00-rke2-defaults.conf agent/kubelet.kubeconfig
            agent/kubeproxy.kubeconfig agent/logs/kubelet.log agent/rke2controller.kubeconfig agent/server-ca.crt
            agent/serving-kubelet.crt agent/serving-kubelet.key server/cred/admin.kubeconfig
            server/cred/api-server.kubeconfig server/cred/cloud-controller.kubeconfig
            server/cred/controller.kubeconfig server/cred/encryption-config.json server/cred/encryption-state.json
            server/cred/ipsec.psk server/cred/passwd server/cred/scheduler.kubeconfig
            server/cred/supervisor.kubeconfig server/db/etcd/config server/db/etcd/member/snap/db
            server/db/etcd/name server/etc/cloud-config.yaml server/etc/egress-selector-config.yaml
            server/tls/client-admin.key server/tls/client-auth-proxy.key server/tls/client-ca.key
            server/tls/client-controller.key server/tls/client-kube-apiserver.key server/tls/client-kube-proxy.key
            server/tls/client-kubelet.key server/tls/client-rke2-cloud-controller.key
            server/tls/client-rke2-controller.key server/tls/client-scheduler.key server/tls/client-supervisor.key
            server/tls/dynamic-cert.json server/tls/etcd/client.key server/tls/etcd/peer-ca.key
            server/tls/etcd/peer-server-client.key server/tls/etcd/server-ca.key server/tls/etcd/server-client.key
            server/tls/kube-controller-manager/kube-controller-manager.key
            server/tls/kube-scheduler/kube-scheduler.key server/tls/request-header-ca.key server/tls/server-ca.key
            server/tls/service.current.key server/tls/service.key server/tls/serving-kube-apiserver.key
            server/tls/serving-kubelet.key server/token
        """,
        "-rw-r--r--": """
            agent/pod-manifests/etcd.yaml agent/pod-manifests/kube-apiserver.yaml
            agent/pod-manifests/kube-controller-manager.yaml agent/pod-manifests/kube-scheduler.yaml
            server/tls/client-admin.crt server/tls/client-auth-proxy.crt
            server/tls/client-ca.crt server/tls/client-ca.nochain.crt server/tls/client-controller.crt
            server/tls/client-kube-apiserver.crt server/tls/client-rke2-cloud-controller.crt
            server/tls/client-scheduler.crt server/tls/client-supervisor.crt server/tls/etcd/client.crt
            server/tls/etcd/peer-ca.crt server/tls/etcd/peer-server-client.crt server/tls/etcd/server-ca.crt
            server/tls/etcd/server-client.crt server/tls/kube-controller-manager/kube-controller-manager.crt
            server/tls/kube-scheduler/kube-scheduler.crt server/tls/request-header-ca.crt server/tls/server-ca.crt
            server/tls/server-ca.nochain.crt server/tls/serving-kube-apiserver.crt
        """,
        "drwx------": """
            agent/containerd agent/etc/kubelet.conf.d agent/pod-manifests server server/cred server/db
            server/db/etcd server/db/etcd/member server/db/etcd/member/snap server/db/etcd/member/wal
            server/db/snapshots server/etc server/tls server/tls/temporary-certs
        """,
        "drwxr-x---": """
            agent/logs
        """,
        "drwxr-xr-x": """
            agent agent/etc agent/etc/containerd server/manifests server/tls/etcd server/tls/kube-controller-manager
            server/tls/kube-scheduler
        """,
    },
    "k3s": {
        "-rw-------": """
            server/cred/admin.kubeconfig server/cred/api-server.kubeconfig server/cred/cloud-controller.kubeconfig
            server/cred/controller.kubeconfig server/cred/ipsec.psk server/cred/passwd
            server/cred/scheduler.kubeconfig server/cred/supervisor.kubeconfig server/db/etcd/config
            server/db/etcd/member/snap/db server/db/etcd/name server/tls/client-admin.key
            server/tls/client-auth-proxy.key server/tls/client-ca.key server/tls/client-controller.key
            server/tls/client-k3s-cloud-controller.key server/tls/client-k3s-controller.key
            server/tls/client-kube-apiserver.key server/tls/client-kube-proxy.key server/tls/client-kubelet.key
            server/tls/client-scheduler.key server/tls/client-supervisor.key server/tls/dynamic-cert.json
            server/tls/etcd/client.key server/tls/etcd/peer-ca.key server/tls/etcd/peer-server-client.key
            server/tls/etcd/server-ca.key server/tls/etcd/server-client.key
            server/tls/kube-controller-manager/kube-controller-manager.key
            server/tls/kube-scheduler/kube-scheduler.key server/tls/request-header-ca.key server/tls/server-ca.key
            server/tls/service.current.key server/tls/service.key server/tls/serving-kube-apiserver.key
            server/tls/serving-kubelet.key
        """,
        "-rw-r--r--": """
            server/tls/client-admin.crt server/tls/client-auth-proxy.crt server/tls/client-ca.crt
            server/tls/client-ca.nochain.crt server/tls/client-controller.crt
            server/tls/client-k3s-cloud-controller.crt server/tls/client-kube-apiserver.crt
            server/tls/client-scheduler.crt server/tls/client-supervisor.crt server/tls/etcd/client.crt
            server/tls/etcd/peer-ca.crt server/tls/etcd/peer-server-client.crt server/tls/etcd/server-ca.crt
            server/tls/etcd/server-client.crt server/tls/kube-controller-manager/kube-controller-manager.crt
            server/tls/kube-scheduler/kube-scheduler.crt server/tls/request-header-ca.crt server/tls/server-ca.crt
            server/tls/server-ca.nochain.crt server/tls/serving-kube-apiserver.crt
        """,
        "drwx------": """
            server/cred server/db server/db/etcd server/db/etcd/member server/db/etcd/member/snap
            server/db/etcd/member/wal server/db/snapshots server/tls server/tls/temporary-certs
        """,
        "drwxr-xr-x": """
            server/tls/etcd server/tls/kube-controller-manager server/tls/kube-scheduler
        """,
    },
}
"""Distribution -> mode as `ls` shows it -> paths."""
