// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// engines are programs that run images, by preference.
var engines = []string{"podman", "docker"}

// errNoEngine says what to do instead.
var errNoEngine = errors.New("an image needs podman or docker, and none of them works here; test the " +
	"command that the image runs instead: mre plugin test --media FILE -- COMMAND ARGS…, with the plugin's " +
	"folder as the working folder")

// launcher is how the plugin is started: a command as it stands, or an image by a container engine.
type launcher struct {
	command, env []string
	// engine and name are of an image's container, which outlives the command when that is killed.
	engine, name string
}

// launcherOf takes what can be run as a command, and what cannot and looks like an image as one.
func launcherOf(ctx context.Context, h *host) (*launcher, error) {
	contract := maps.Clone(h.env)
	if h.o.Exec {
		// There is nobody to ask for work: the work is on standard input.
		delete(contract, runtimeAPI)
	}
	program := h.o.Command[0]
	if _, err := exec.LookPath(program); err == nil {
		return &launcher{command: h.o.Command, env: environment(contract)}, nil
	}
	if !imageReference(h.o.Command) {
		return nil, fmt.Errorf("%s is neither a program that can be found nor the reference of an image, such "+
			"as registry.example.com/detect:v1", program)
	}
	engine, err := engineOf(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s is no program: %w", program, err)
	}
	l := &launcher{engine: engine, name: fmt.Sprintf("mre-plugin-test-%d", os.Getpid()), env: os.Environ()}
	l.command = l.container(h.o, contract)
	return l, nil
}

// imageReference says that what is to be tested is no command but looks like an image.
func imageReference(arguments []string) bool {
	return len(arguments) == 1 && strings.ContainsAny(arguments[0], "/:")
}

func engineOf(ctx context.Context) (string, error) {
	for _, name := range engines {
		if exec.CommandContext(ctx, name, "info").Run() == nil {
			return name, nil
		}
	}
	return "", errNoEngine
}

// container is the command that runs the image as a worker pod does: read-only but for /tmp, as nobody in particular,
// and with the host's loopback, on which the test listens.
func (l *launcher) container(o Options, contract map[string]string) []string {
	args := []string{l.engine, "run", "--rm", "--interactive", "--name=" + l.name, "--network=host", "--read-only",
		"--tmpfs=/tmp:mode=1777", "--user=65532:65532", "--cap-drop=ALL", "--security-opt=no-new-privileges",
		"--volume=" + o.mediaDir + ":" + o.mediaDir + ":ro"}
	for _, name := range slices.Sorted(maps.Keys(contract)) {
		args = append(args, "--env="+name+"="+contract[name])
	}
	rest := o.ContainerArgs
	switch {
	case len(o.ContainerCommand) > 0:
		args = append(args, "--entrypoint="+o.ContainerCommand[0])
		rest = slices.Concat(o.ContainerCommand[1:], rest)
	case len(rest) == 1:
		// An image for Lambda finds its handler here, too.
		args = append(args, "--env=_HANDLER="+rest[0])
	}
	return append(append(args, o.Command[0]), rest...)
}

// clear removes a container that is left.
func (l *launcher) clear() {
	if l.engine == "" {
		return
	}
	// There is none where this fails.
	//nolint:noctx // It must happen when the test was stopped, too.
	_ = exec.Command(l.engine, "rm", "--force", l.name).Run()
}
