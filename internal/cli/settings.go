package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

// settingFlags collects what the user gives for the settings of the server. The
// texts are checked by config.Load, which knows how to name them.
type settingFlags struct {
	file  string
	given map[string][]string
}

// addSettingFlags adds one flag for each setting, and --config.
func addSettingFlags(cmd *cobra.Command) *settingFlags {
	sf := &settingFlags{given: map[string][]string{}}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&sf.file, "config", "", "read settings from this YAML `FILE`")
	flags.VarPF(&settingFlag{config.Row{Name: "nodes.log", Kind: "text"}, sf}, "log", "", "short for --nodes.log")
	for _, row := range config.Rows() {
		if row.FileOnly || row.Secret {
			continue
		}
		f := flags.VarPF(&settingFlag{row, sf}, row.Name, "", row.Help)
		if row.Kind == "bool" {
			f.NoOptDefVal = "true"
		}
		if len(row.Choices) > 0 {
			f.Usage += " (" + row.Limits + ")"
			_ = cmd.RegisterFlagCompletionFunc(row.Name, cobra.FixedCompletions(row.Choices, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	return sf
}

// load reads all settings and warns about variables that are none.
func (sf *settingFlags) load(s Streams) (*config.Loaded, error) {
	loaded, err := config.Load(config.Input{File: sf.file, Environ: s.Environ, Flags: sf.given})
	if err != nil {
		return nil, err
	}
	for _, text := range loaded.Warnings {
		fmt.Fprintf(s.Err, "weir: warning: %s\n", text)
	}
	return loaded, nil
}

// A settingFlag is the pflag.Value of one setting.
type settingFlag struct {
	row config.Row
	to  *settingFlags
}

func (f *settingFlag) Set(text string) error {
	f.to.given[f.row.Name] = append(f.to.given[f.row.Name], text)
	return nil
}

// String is the default, which the help shows.
func (f *settingFlag) String() string { return f.row.Default }

func (f *settingFlag) Type() string { return f.row.Kind }
