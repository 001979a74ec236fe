// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// engines are programs that run images, by preference.
var engines = []string{"podman", "docker"}

// errNoEngine says what to do instead.
var errNoEngine = errors.New("an image needs podman or docker, and none of them works here; test the command that the image runs instead: mre plugin test --media FILE -- COMMAND ARGS…, with the plugin's folder as the working folder")

// commandOf is how the plugin is started: the command as it stands, or an image by a container engine.
func commandOf(ctx context.Context, h *host) (func() ([]string, error), error) {
	program := h.o.Command[0]
	_, err := exec.LookPath(program)
	if err == nil {
		return func() ([]string, error) { return h.o.Command, nil }, nil
	}
	if !imageReference(h.o.Command) {
		return nil, fmt.Errorf("%s is neither a program that can be found nor the reference of an image, such as registry.example.com/detect:v1", program)
	}
	engine, err := engineOf(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s is no program: %w", program, err)
	}
	return func() ([]string, error) { return h.container(engine), nil }, nil
}

func engineOf(ctx context.Context) (string, error) {
	for _, name := range engines {
		if exec.CommandContext(ctx, name, "info").Run() == nil {
			return name, nil
		}
	}
	return "", errNoEngine
}

// container is the command that runs the image as a worker pod does: read-only but for /tmp, as nobody in particular, and
// with the host's loopback, on which the test listens.
func (h *host) container(engine string) []string {
	args := []string{engine, "run", "--rm", "--interactive", "--network=host", "--read-only", "--tmpfs=/tmp:mode=1777", "--user=65532:65532",
		"--cap-drop=ALL", "--security-opt=no-new-privileges", "--volume=" + h.o.mediaDir + ":" + h.o.mediaDir + ":ro"}
	env := h.env
	for name := range env {
		if h.o.Exec && name == "AWS_LAMBDA_RUNTIME_API" {
			continue
		}
		args = append(args, "--env="+name)
	}
	// A handler is named in the arguments of an image for Lambda.
	if len(h.o.ContainerCommand) == 0 && len(h.o.ContainerArgs) == 1 {
		args = append(args, "--env=_HANDLER="+h.o.ContainerArgs[0])
	}
	rest := h.o.ContainerArgs
	if len(h.o.ContainerCommand) > 0 {
		args = append(args, "--entrypoint="+h.o.ContainerCommand[0])
		rest = append(append([]string{}, h.o.ContainerCommand[1:]...), rest...)
	}
	return append(append(args, h.o.Command[0]), rest...)
}
