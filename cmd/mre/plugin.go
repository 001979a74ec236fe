// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/testkit"
)

func init() { commands = append(commands, newPluginCommand) }

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "plugin", Short: "Help with writing plugins"}
	cmd.AddCommand(newPluginTestCommand())
	return cmd
}

// errBroken makes the exit status; the report has said the rest.
var errBroken = errors.New("the plugin breaks the contract")

type pluginTestFlags struct {
	manifest, name, class, detections, output string
	configuration                             []string
	audio, exec                               bool
	o                                         testkit.Options
}

func newPluginTestCommand() *cobra.Command {
	var f pluginTestFlags
	cmd := &cobra.Command{
		Use:   "test [flags] [--] COMMAND ARGS...|IMAGE",
		Short: "Run a plugin against the contract, without a cluster",
		Long: "Cuts a recording into chunks, starts the plugin, gives it one chunk after the other as a worker " +
			"does, and says in words what is wrong. With --plugin, the manifest says what the plugin is, and " +
			"how it is started unless a command is given. An image needs podman or docker. It ends with 1 when " +
			"the plugin breaks the contract.",
		Example: "  mre plugin test --plugin plugin.yaml --media match.mp4\n" +
			"  mre plugin test --class Featurer --media match.mp4 -- python3 plugin.py",
		RunE: func(cmd *cobra.Command, command []string) error {
			if f.output != "" && f.output != "json" {
				return fmt.Errorf("-o %q: the one other form is json", f.output)
			}
			f.o.Log = cmd.ErrOrStderr()
			if err := f.complete(command); err != nil {
				return err
			}
			report, err := testkit.Run(cmd.Context(), f.o)
			if err != nil {
				return err
			}
			if f.output == "json" {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = report.Print(cmd.OutOrStdout())
			}
			if err == nil && !report.OK() {
				err = errBroken
			}
			return err
		},
	}
	flags := cmd.Flags()
	// What follows the command belongs to it.
	flags.SetInterspersed(false)
	flags.StringVar(&f.o.Media, "media", "", "A recording: any file that FFmpeg reads.")
	flags.StringVar(&f.manifest, "plugin", "", "The plugin's manifest. Flags take the place of what it says. "+
		"It may hold other Plugins, whose names in MRE are read, such as all that mre import writes.")
	flags.StringVar(&f.name, "name", "", "Which Plugin of the manifest is tested; the first when not set.")
	flags.StringVar(&f.class, "class", "",
		"Featurer, Segmenter, Optimizer or Labeler. Featurer when neither this nor a manifest is given.")
	flags.StringArrayVar(&f.configuration, "configuration", nil,
		"KEY=VALUE of the configuration; may be given several times. VALUE is JSON, or text where it is none.")
	flags.BoolVar(&f.audio, "audio", false, "The plugin's mediaType is Audio.")
	flags.Int32Var(&f.o.Track, "audio-track", 0, "The track for an Audio plugin, from 1; the first when not set.")
	flags.BoolVar(&f.exec, "exec", false,
		"The protocol is Exec: the command is run for each chunk, with JSON on standard input and output.")
	flags.IntVar(&f.o.ChunkSeconds, "chunk-seconds", 6, "Length of a chunk.")
	flags.IntVar(&f.o.Chunks, "chunks", 3, "How many chunks of the recording are run.")
	flags.DurationVar(&f.o.Timeout, "timeout", 0, "How long one run may take; the manifest's timeoutSeconds, or 1m.")
	flags.DurationVar(&f.o.StartTimeout, "start-timeout", 0,
		"How long the start may take; the manifest's startTimeoutSeconds, or 5m.")
	flags.StringVar(&f.detections, "detections", "", "A JSON file with what the plugins found that this one depends on: "+
		"{\"PLUGIN\": [{\"startMicros\", \"endMicros\", \"attributes\"}]}. Made up when not set.")
	flags.StringVarP(&f.output, "output", "o", "", "json for programs.")
	// The flag exists.
	_ = cmd.MarkFlagRequired("media")
	return cmd
}

// complete makes options of the flags, the manifest and defaults.
func (f *pluginTestFlags) complete(command []string) error {
	plugin := mrev1.Plugin{}
	if f.manifest != "" {
		var err error
		if plugin, f.o.MRENames, err = readPlugin(f.manifest, f.name); err != nil {
			return err
		}
		if plugin.Spec.Runtime.Container == nil {
			return fmt.Errorf("%s has no spec.runtime.container: only plugins in containers are tested", f.manifest)
		}
	}
	container := plugin.Spec.Runtime.Container
	if container == nil {
		container = &mrev1.ContainerRuntime{}
	}
	f.o.Exec = f.exec || container.Protocol == mrev1.ProtocolExec
	f.o.Command = command
	f.o.ContainerCommand, f.o.ContainerArgs = container.Command, container.Args
	if len(command) == 0 {
		f.o.Command = append(append([]string{}, container.Command...), container.Args...)
		if len(container.Command) == 0 && container.Image != "" {
			f.o.Command = []string{container.Image}
		}
	}
	if len(f.o.Command) == 0 {
		return errors.New("say what to test: the command that starts the plugin, or --plugin with a manifest that names one")
	}
	if f.o.ChunkSeconds < 2 || f.o.ChunkSeconds > 60 || f.o.Chunks < 1 {
		return errors.New("--chunk-seconds is from 2 to 60, and --chunks at least 1")
	}
	f.o.Timeout = orElse(f.o.Timeout, plugin.Spec.Policy.TimeoutSeconds, 60)
	f.o.StartTimeout = orElse(f.o.StartTimeout, container.StartTimeoutSeconds, 300)
	var err error
	if f.o.Plugin, err = f.planPlugin(plugin); err != nil {
		return err
	}
	if f.detections != "" {
		body, err := os.ReadFile(f.detections)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &f.o.Detections); err != nil {
			return fmt.Errorf("%s: %w", f.detections, err)
		}
	}
	return nil
}

// readPlugin reads the Plugin with a name, or the first one, of a manifest, and the names in MRE of all its Plugins.
func readPlugin(path, name string) (mrev1.Plugin, map[string]string, error) {
	var found *mrev1.Plugin
	body, err := os.ReadFile(path)
	if err != nil {
		return mrev1.Plugin{}, nil, err
	}
	mreNames := map[string]string{}
	for text := range bytes.SplitSeq(append([]byte("\n"), body...), []byte("\n---")) {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return mrev1.Plugin{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		if kind.Kind != "Plugin" {
			continue
		}
		var p mrev1.Plugin
		if err := yaml.UnmarshalStrict(text, &p); err != nil {
			return mrev1.Plugin{}, nil, fmt.Errorf("%s: %w", path, err)
		}
		if original := p.Annotations[mrev1.AnnotationMREName]; original != "" {
			mreNames[p.Name] = original
		}
		if found == nil && (name == "" || p.Name == name) {
			found = &p
		}
	}
	switch {
	case found == nil && name != "":
		return mrev1.Plugin{}, nil, fmt.Errorf("%s holds no Plugin %s", path, name)
	case found == nil:
		return mrev1.Plugin{}, nil, fmt.Errorf("%s holds no Plugin", path)
	}
	return *found, mreNames, nil
}

func orElse(flag time.Duration, manifest, usualSeconds int32) time.Duration {
	switch {
	case flag > 0:
		return flag
	case manifest > 0:
		return time.Duration(manifest) * time.Second
	}
	return time.Duration(usualSeconds) * time.Second
}

func (f *pluginTestFlags) planPlugin(plugin mrev1.Plugin) (api.PlanPlugin, error) {
	out := api.PlanPlugin{
		Name: "plugin", Class: api.PlanPluginClass(plugin.Spec.Class),
		MediaType: api.PlanPluginMediaType(plugin.Spec.MediaType), Configuration: map[string]any{}, DependsOn: []string{},
		Outputs: []string{}, OutputDescriptions: map[string]string{},
		TimeoutSeconds: int32(f.o.Timeout.Seconds()), MaxAttempts: 1,
	}
	if plugin.Name != "" {
		out.Name = plugin.Name
	}
	if original := f.o.MRENames[plugin.Name]; original != "" {
		out.MREName = &original
	}
	if f.class != "" {
		out.Class = api.PlanPluginClass(f.class)
	}
	if out.Class == "" {
		out.Class = api.PlanPluginClassFeaturer
	}
	if !out.Class.Valid() {
		return out, fmt.Errorf("--class %q is none of Featurer, Segmenter, Optimizer and Labeler", out.Class)
	}
	if f.audio {
		out.MediaType = api.PlanPluginMediaTypeAudio
	}
	if out.MediaType == "" {
		out.MediaType = api.PlanPluginMediaTypeVideo
	}
	for _, d := range plugin.Spec.DependsOn {
		out.DependsOn = append(out.DependsOn, d.Name)
	}
	for _, o := range plugin.Spec.Outputs {
		out.Outputs = append(out.Outputs, o.Name)
		out.OutputDescriptions[o.Name] = o.Description
	}
	if c := plugin.Spec.Configuration; c != nil {
		if err := json.Unmarshal(c.Raw, &out.Configuration); err != nil {
			return out, fmt.Errorf("spec.configuration: %w", err)
		}
	}
	for _, pair := range f.configuration {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return out, fmt.Errorf("--configuration %q is not KEY=VALUE", pair)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		out.Configuration[key] = value
	}
	return out, nil
}
