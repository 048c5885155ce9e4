// Answers questions about Dockerfiles with BuildKit's own packages: one JSON object per line in, one per line out.
//
// Used by ../differential.py, which builds it; see ../README.md.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/dchapes-mode"
)

type object = map[string]any

type question struct {
	Kind     string            `json:"kind"`
	Text     string            `json:"text"` // base64
	Escape   string            `json:"escape"`
	Values   map[string]string `json:"values"`
	Patterns []string          `json:"patterns"`
	Paths    []string          `json:"paths"`
	Mode     uint32            `json:"mode"`
	IsDir    bool              `json:"is_dir"`
}

type values map[string]string

func (v values) Get(name string) (string, bool) { value, ok := v[name]; return value, ok }
func (v values) Keys() []string                 { return nil }

func lines(ranges []parser.Range) []int {
	if len(ranges) == 0 {
		return nil
	}
	return []int{ranges[0].Start.Line, ranges[len(ranges)-1].End.Line}
}

func pairs(found instructions.KeyValuePairs) (out []any) {
	for _, pair := range found {
		out = append(out, []any{pair.Key, pair.Value, pair.NoDelim})
	}
	return out
}

func command(line instructions.ShellDependantCmdLine, into object) {
	into["form"], into["arguments"] = "exec", line.CmdLine
	if line.PrependShell {
		into["form"], into["arguments"] = "shell", []string{strings.Join(line.CmdLine, " ")}
	}
	for _, file := range line.Files {
		list, _ := into["heredocs"].([]any)
		into["heredocs"] = append(list, []any{file.Name, file.Data, file.Chomp})
	}
}

func paths(found instructions.SourcesAndDest, into object) {
	into["sources"], into["destination"] = found.SourcePaths, found.DestPath
	for _, content := range found.SourceContents {
		list, _ := into["heredocs"].([]any)
		into["heredocs"] = append(list, []any{content.Path, content.Data, content.Expand})
	}
}

func describe(found instructions.Command) object {
	out := object{"keyword": found.Name(), "lines": lines(found.Location()), "comments": found.Comments()}
	if text, ok := found.(fmt.Stringer); ok {
		out["line"] = text.String()
	}
	switch c := found.(type) {
	case *instructions.EnvCommand:
		out["pairs"] = pairs(c.Env)
	case *instructions.LabelCommand:
		out["pairs"] = pairs(c.Labels)
	case *instructions.MaintainerCommand:
		out["value"] = c.Maintainer
	case *instructions.AddCommand:
		paths(c.SourcesAndDest, out)
		out["flags"] = []any{c.Chown, c.Chmod, c.Link, c.ExcludePatterns, c.KeepGitDir, c.Checksum, c.Unpack}
	case *instructions.CopyCommand:
		paths(c.SourcesAndDest, out)
		out["flags"] = []any{c.Chown, c.Chmod, c.Link, c.ExcludePatterns, c.From, c.Parents}
	case *instructions.OnbuildCommand:
		out["value"] = c.Expression
	case *instructions.WorkdirCommand:
		out["value"] = c.Path
	case *instructions.UserCommand:
		out["value"] = c.User
	case *instructions.StopSignalCommand:
		out["value"] = c.Signal
	case *instructions.ExposeCommand:
		out["value"] = c.Ports
	case *instructions.VolumeCommand:
		out["value"] = c.Volumes
	case *instructions.ShellCommand:
		out["value"] = c.Shell
	case *instructions.CmdCommand:
		command(c.ShellDependantCmdLine, out)
	case *instructions.EntrypointCommand:
		command(c.ShellDependantCmdLine, out)
	case *instructions.RunCommand:
		command(c.ShellDependantCmdLine, out)
		out["flags"] = []any{instructions.GetNetwork(c), instructions.GetSecurity(c)}
		if err := c.Expand(func(word string) (string, error) { return word, nil }); err != nil {
			out["mounts"] = "error"
		} else {
			out["mounts"] = instructions.GetMounts(c)
		}
	case *instructions.HealthCheckCommand:
		h := c.Health
		out["value"] = []any{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}
	case *instructions.ArgCommand:
		var list []any
		for _, arg := range c.Args {
			list = append(list, []any{arg.Key, arg.Value, arg.DocComment})
		}
		out["value"] = list
	}
	return out
}

func dockerfile(text []byte) object {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return object{"error": err.Error()}
	}
	stages, args, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return object{"error": err.Error()}
	}
	var found, meta, empty []any
	for _, stage := range stages {
		var list []any
		for _, c := range stage.Commands {
			list = append(list, describe(c))
		}
		found = append(found, object{
			"keyword": stage.OrigCmd, "name": stage.Name, "base": stage.BaseName, "platform": stage.Platform,
			"description": stage.DocComment, "lines": lines(stage.Location), "comments": stage.Comments,
			"line": stage.SourceCode, "instructions": list,
		})
	}
	for i := range args {
		meta = append(meta, describe(&args[i]))
	}
	for _, warning := range result.Warnings {
		empty = append(empty, warning.Location.Start.Line)
	}
	return object{"stages": found, "meta_args": meta, "escape": string(result.EscapeToken), "empty": empty}
}

func word(q question, text string) object {
	lexer := shell.NewLex([]rune(q.Escape)[0])
	result, err := lexer.ProcessWordWithMatches(text, values(q.Values))
	if err != nil {
		return object{"error": err.Error()}
	}
	return object{"text": result.Result, "words": result.Words}
}

func ignored(q question) object {
	matcher, err := patternmatcher.New(q.Patterns)
	if err != nil {
		return object{"error": err.Error()}
	}
	known := map[string]patternmatcher.MatchInfo{}
	var walk func(name string) bool
	walk = func(name string) bool {
		var above patternmatcher.MatchInfo
		if parent := path.Dir(name); parent != "." {
			if _, ok := known[parent]; !ok {
				walk(parent)
			}
			above = known[parent]
		}
		var matched bool
		matched, known[name], err = matcher.MatchesUsingParentResults(name, above)
		return matched
	}
	var out []bool
	for _, name := range q.Paths {
		out = append(out, walk(name))
		if err != nil {
			return object{"error": err.Error()}
		}
	}
	return object{"excluded": out}
}

func chmod(q question, text string) object {
	change, err := mode.Parse(text)
	if err != nil {
		return object{"error": err.Error()}
	}
	bits := [][2]uint32{{04000, uint32(os.ModeSetuid)}, {02000, uint32(os.ModeSetgid)}, {01000, uint32(os.ModeSticky)}}
	old := os.FileMode(q.Mode & 0777)
	for _, bit := range bits {
		if q.Mode&bit[0] != 0 {
			old |= os.FileMode(bit[1])
		}
	}
	if q.IsDir {
		old |= os.ModeDir
	}
	changed := change.Apply(old)
	out := uint32(changed.Perm())
	for _, bit := range bits {
		if changed&os.FileMode(bit[1]) != 0 {
			out |= bit[0]
		}
	}
	return object{"mode": out}
}

// Images that the checks find: the name says what is odd about them.
type images struct{}

func (images) ResolveImageConfig(_ context.Context, name string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := `{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin","BASEVAR=1"]},"history":[{}]}`
	if strings.Contains(name, "arm") {
		config = strings.Replace(config, "amd64", "arm64", 1)
	}
	if strings.Contains(name, "shell") {
		config = strings.Replace(config, `"config":{`, `"config":{"Shell":["/bin/bash","-c"],`, 1)
	}
	return name, "", []byte(config), nil
}

func checks(q question, text []byte) object {
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = &llb.Definition{}
	platform := platforms.MustParse("linux/amd64")
	capabilities := pb.Caps.CapSet(pb.Caps.All())
	result, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{BuildArgs: q.Values}, SourceMap: source, MetaResolver: images{},
		TargetPlatform: &platform, LLBCaps: &capabilities,
	})
	if err != nil {
		return object{"error": err.Error()}
	}
	if result.Error != nil && !strings.HasPrefix(result.Error.Message, "lint violation") {
		return object{"error": result.Error.Message}
	}
	var found []any
	for _, warning := range result.Warnings {
		ranges := warning.Location.Ranges
		place := []int32{ranges[0].Start.Line, ranges[len(ranges)-1].End.Line}
		found = append(found, []any{warning.RuleName, warning.Detail, place})
	}
	return object{"findings": found}
}

func answer(q question) (out object) {
	defer func() {
		if fault := recover(); fault != nil {
			out = object{"panic": fmt.Sprint(fault)}
		}
	}()
	text, _ := base64.StdEncoding.DecodeString(q.Text)
	switch q.Kind {
	case "dockerfile":
		return dockerfile(text)
	case "word":
		return word(q, string(text))
	case "ignored":
		return ignored(q)
	case "glob":
		var found []bool
		for _, name := range q.Paths {
			matched, err := filepath.Match(string(text), name)
			if err != nil {
				return object{"error": err.Error()}
			}
			found = append(found, matched)
		}
		return object{"matched": found}
	case "chmod":
		return chmod(q, string(text))
	case "checks":
		return checks(q, text)
	}
	return object{"error": "unknown kind"}
}

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriter(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		encoded, err := json.Marshal(answer(q))
		if err != nil {
			panic(err)
		}
		output.Write(append(encoded, '\n'))
		output.Flush()
	}
}
