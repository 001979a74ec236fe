// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mre-operator/mre-operator/internal/terminal"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Options are what a program of these commands is made of.
type Options struct {
	// Name is how people call it: kubectl mre.
	Name    string
	Version string
	Streams genericiooptions.IOStreams
	// Connect reaches the cluster; over the kubeconfig when it is nil.
	Connect func(flags *genericclioptions.ConfigFlags, to Install) (*Connection, error)
}

// program is what all commands share.
type program struct {
	Options
	flags   *genericclioptions.ConfigFlags
	install string
	// account is whom the data plane is read as, NAMESPACE/NAME; empty for mre-viewer.
	account string
	// running says that the flags and arguments were understood.
	running bool
}

// Run executes a command line and returns the exit code.
func Run(ctx context.Context, o Options, args []string) int {
	p := &program{Options: o, flags: genericclioptions.NewConfigFlags(true)}
	if p.Connect == nil {
		p.Connect = connect
	}
	root := p.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return exitInterrupted
	case !p.running:
		fmt.Fprintf(o.Streams.ErrOut, "%s: %v\nSee '%s --help'.\n", o.Name, err, cmd.CommandPath())
		return exitUsage
	}
	palette := terminal.PaletteFor(o.Streams.ErrOut)
	fmt.Fprintf(o.Streams.ErrOut, "%s %s\n", palette.Paint(terminal.Bad, "error:"), p.advise(err))
	if code, ok := errors.AsType[exitError](err); ok {
		return code.code
	}
	return exitFailed
}

// exitError ends the program with a code of its own.
type exitError struct {
	error
	code int
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mre",
		Short: "Watch, explain and fetch what MRE Operator makes of broadcasts",
		Long: p.text(`
			Watch, explain and fetch what MRE Operator makes of broadcasts.

			It uses your kubeconfig, as kubectl does. The rows of an Event are read from the data plane, which is
			reached through a port-forward with a token of the ServiceAccount mre-viewer: bind the Role mre-viewer of
			the install's namespace to whoever may read the Events of all namespaces. For the others there is
			--as-service-account, with an account of theirs that may view the Events of their namespace.`),
		Version:       p.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: p.Name},
		PersistentPreRun: func(*cobra.Command, []string) {
			p.running = true
		},
	}
	root.SetIn(p.Streams.In)
	root.SetOut(p.Streams.Out)
	root.SetErr(p.Streams.ErrOut)
	p.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&p.install, "install-namespace", "mre-system",
		"Namespace that MRE Operator is installed in.")
	root.PersistentFlags().StringVar(&p.account, "as-service-account", "",
		"NAMESPACE/NAME of the ServiceAccount to read the data plane as; mre-viewer of the install when not set.")
	_ = root.RegisterFlagCompletionFunc("namespace", cobra.NoFileCompletions) // the flag exists
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "steer", Title: "Steer:"},
		&cobra.Group{ID: "fetch", Title: "Fetch:"})
	root.SetUsageTemplate(p.usage(root.UsageTemplate()))
	cobra.EnableCommandSorting = false
	for group, commands := range map[string][]*cobra.Command{
		"look": {p.statusCommand(), p.watchCommand(), p.explainCommand(),
			p.segmentsCommand(), p.clipsCommand(), p.resultsCommand()},
		"steer": {p.retryCommand(), p.finishCommand(), p.suspendCommand(), p.resumeCommand()},
		"fetch": {p.downloadCommand()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// usage names the flags that all commands of kubectl have only once, in the help of the program itself.
func (p *program) usage(template string) string {
	const from, to = "{{if .HasAvailableInheritedFlags}}", "{{if .HasHelpSubCommands}}"
	before, rest, found := strings.Cut(template, from)
	_, after, ended := strings.Cut(rest, to)
	if !found || !ended {
		return template
	}
	return before + from + "\n\n" + fmt.Sprintf("-n, --context, --kubeconfig and the rest of kubectl's flags, and "+
		"--install-namespace: see '%s --help'.", p.Name) + "{{end}}" + to + after
}

// text takes the indentation off a help text and writes the program's name where it says {mre}.
func (p *program) text(s string) string {
	lines := strings.Split(strings.Trim(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "\t\t\t")
	}
	return strings.TrimRight(strings.ReplaceAll(strings.Join(lines, "\n"), "{mre}", p.Name), " \t\n")
}

// examples are indented, as kubectl has them.
func (p *program) examples(s string) string {
	lines := strings.Split(p.text(s), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}

// completionTime bounds how long a shell waits for names.
const completionTime = 3 * time.Second

// eventNames completes the first argument with the names of Events.
func (p *program) eventNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	s, err := p.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	events, err := s.events(ctx, s.namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range events {
		names = append(names, cobra.CompletionWithDesc(events[i].Name, stateOf(&events[i]).word))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
