package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

func configCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show, check and write settings"}
	groupOnly(cmd)
	cmd.AddCommand(configShow(s), configCheck(s), configInit(s), configDocs(s))
	return cmd
}

func configShow(s Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print each setting, its value and where it came from",
		Long: `Print each setting, its value and where it came from: the name of a flag or
variable, a line of the file, or default. It takes the same flags as serve.`,
		Args: arguments(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	sf := addSettingFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		loaded, err := sf.load(s)
		if err != nil {
			return err
		}
		if asJSON {
			return showJSON(s.Out, loaded.Values)
		}
		return showTable(s.Out, loaded.Values)
	}
	return cmd
}

func showTable(w io.Writer, values []config.Value) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tVALUE\tORIGIN")
	for _, v := range values {
		text := v.Text
		if text == "" {
			text = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%v\n", v.Name, text, v.Origin)
	}
	return t.Flush()
}

func showJSON(w io.Writer, values []config.Value) error {
	type entry struct {
		Name   string `json:"name"`
		Value  any    `json:"value"`
		Origin string `json:"origin"`
	}
	list := make([]entry, len(values))
	for i, v := range values {
		list[i] = entry{v.Name, v.JSON, v.Origin.String()}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

func configCheck(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Tell whether serve would accept a settings file",
		Long: `Tell whether serve would accept a settings file, together with the variables
that are set and the flags that are given here. The exit code is 0 or 78.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	sf := addSettingFlags(cmd)
	_ = cmd.Flags().MarkHidden("config")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if sf.file != "" {
			return usage("--config is not for this command: name the file alone")
		}
		sf.file = args[0]
		loaded, err := sf.load(s)
		if err != nil {
			return err
		}
		set := 0
		for _, v := range loaded.Values {
			if v.Origin.Kind == config.FromFile {
				set++
			}
		}
		_, err = fmt.Fprintf(s.Out, "%s: ok, %d settings\n", args[0], set)
		return err
	}
	return cmd
}

func configInit(s Streams) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented settings file, weir.yaml unless named; - is standard output",
		Args:  arguments(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			path := strings.Join(append(args, "weir.yaml")[:1], "")
			if path == "-" {
				return config.WriteTemplate(s.Out)
			}
			if err := writeTemplate(path, force); err != nil {
				return err
			}
			_, err := fmt.Fprintf(s.Out, "wrote %s; use it with weir serve --config %s\n", path, path)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if there is one")
	return cmd
}

func writeTemplate(path string, force bool) error {
	mode := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if force {
		mode = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; replace it with --force", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(config.WriteTemplate(f), f.Close())
}

func configDocs(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "docs",
		Short: "Print the reference of all settings as Markdown",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return config.WriteMarkdown(s.Out) },
	}
}
