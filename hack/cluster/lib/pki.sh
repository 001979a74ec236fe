# shellcheck shell=bash
# Sourced. Certificates and kubeconfigs.

# make_pki makes all of them, in a folder that gets its name when it is complete.
make_pki() {
  [ ! -d "$PKI" ] || return 0
  say "making certificates"
  rm -rf "$PKI.tmp"
  (
    umask 077
    mkdir -p "$PKI.tmp"
    cd "$PKI.tmp" || exit 1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
      -subj /CN=mre-cluster -days 3650 2>/dev/null
    openssl ecparam -name prime256v1 -genkey -noout -out sa.key
    openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
    local api="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    make_cert apiserver /CN=kube-apiserver \
      "$api,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP"
    make_cert kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    make_cert admin /O=system:masters/CN=admin
    make_cert controller-manager /CN=system:kube-controller-manager
    make_cert scheduler /CN=system:kube-scheduler
    make_cert proxy /CN=system:kube-proxy
    make_cert kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE_IP"
    local user
    for user in admin controller-manager scheduler proxy kubelet; do make_kubeconfig $user; done
  )
  mv "$PKI.tmp" "$PKI"
}

# make_cert NAME SUBJECT [ALTERNATIVE-NAMES]
make_cert() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" \
    2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" -extfile <(
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  ) 2>/dev/null
  rm "$1.csr"
}

make_kubeconfig() {
  cat >"$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters:
- name: mre
  cluster:
    server: $API_URL
    certificate-authority-data: $(base64 -w0 ca.crt)
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$1.crt")
    client-key-data: $(base64 -w0 "$1.key")
contexts:
- name: mre
  context: {cluster: mre, user: $1}
current-context: mre
Y
}
