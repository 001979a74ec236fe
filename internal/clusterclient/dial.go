// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errNoReadyPod says that a service has nobody behind it at the moment.
var errNoReadyPod = errors.New("no pod is ready")

// DialContext connects to SERVICE.NAMESPACE.svc:PORT through the API server,
// and to any other address directly. The pod is looked up at every call, so
// that a pod that was replaced is found again.
func (c *Cluster) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	service, namespace, port, ok := splitServiceAddress(address)
	if !ok {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	pod, podPort, err := c.podBehind(ctx, namespace, service, port)
	if err != nil {
		return nil, final(fmt.Errorf("reach service %s in namespace %s: %w", service, namespace, err))
	}
	conn, err := c.forward(pod, podPort)
	if err != nil {
		err = fmt.Errorf("forward to port %d of pod %s/%s: %w", podPort, pod.Namespace, pod.Name, err)
		if apierrors.IsNotFound(err) {
			return nil, err // the pod went a moment ago; another one comes
		}
		return nil, final(err)
	}
	return conn, nil
}

// splitServiceAddress takes NAME.NAMESPACE.svc[.cluster.local]:PORT apart.
func splitServiceAddress(address string) (service, namespace string, port int32, ok bool) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", 0, false
	}
	labels := strings.Split(strings.TrimSuffix(host, ".cluster.local"), ".")
	if len(labels) != 3 || labels[2] != "svc" {
		return "", "", 0, false
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", "", 0, false
	}
	return labels[0], labels[1], int32(n), true
}

// podBehind picks a ready pod of a service and the port that the service sends to.
func (c *Cluster) podBehind(ctx context.Context, namespace, name string, port int32) (*corev1.Pod, int32, error) {
	var service corev1.Service
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service); err != nil {
		return nil, 0, err
	}
	if len(service.Spec.Selector) == 0 {
		return nil, 0, errors.New("it selects no pods")
	}
	var target *intstr.IntOrString
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Port == port {
			target = &service.Spec.Ports[i].TargetPort
		}
	}
	if target == nil {
		return nil, 0, fmt.Errorf("it has no port %d", port)
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return nil, 0, err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || !podReady(pod) {
			continue
		}
		if podPort, ok := resolvePort(pod, *target, port); ok {
			return pod, podPort, nil
		}
	}
	return nil, 0, errNoReadyPod
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func resolvePort(pod *corev1.Pod, target intstr.IntOrString, servicePort int32) (int32, bool) {
	if target.Type == intstr.Int {
		if target.IntVal == 0 {
			return servicePort, true
		}
		return target.IntVal, true
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == target.StrVal {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}

// forward opens a port-forward that serves one connection: what breaks one does not break another.
func (c *Cluster) forward(pod *corev1.Pod, port int32) (net.Conn, error) {
	target := c.Kube.CoreV1().RESTClient().Post().Resource("pods").
		Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, c.Config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return nil, err
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	dialer = portforward.NewFallbackDialerForStreaming(dialer, older, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	connection, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		return nil, errors.Join(fmt.Errorf("the API server speaks %q", protocol), connection.Close())
	}
	conn, err := newForwardedConn(connection, pod, port)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return conn, nil
}
