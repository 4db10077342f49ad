package cli

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/access"
)

func tokenKey(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "key NAME",
		Short: "Print a new API key, and the line of the server's file for it",
		Long: `Print a new API key for a program, and the line that goes into the file of the
setting access.api-keys-file. The server needs only the line, which does not tell the
key. What the key may do can follow on the line:

  shop:sha256:... publish=orders/**,news subscribe=orders/** rate=100 streams=5`,
		Example: `  weir token key shop`,
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			random := make([]byte, 32)
			_, _ = rand.Read(random) // never fails, it says
			key := base64.RawURLEncoding.EncodeToString(random)
			sum := sha256.Sum256([]byte(key))
			line := args[0] + ":sha256:" + hex.EncodeToString(sum[:])
			if _, err := access.ParseAPIKey(line, access.Grant{}); err != nil {
				return usage("%v", err)
			}
			_, err := fmt.Fprintf(s.Out, "key   %s\nline  %s\n", key, line)
			return err
		},
	}
}
