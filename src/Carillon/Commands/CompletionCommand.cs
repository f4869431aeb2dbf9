using System.CommandLine;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon completion</c>: a script for a shell, that asks the program itself what may come next.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # carillon completion bash > /etc/bash_completion.d/carillon
        _carillon_complete() {
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$(carillon "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _carillon_complete carillon
        """;

    private const string Zsh = """
        #compdef carillon
        # carillon completion zsh > "${fpath[1]}/_carillon"
        _carillon() {
          local -a words_now
          words_now=("${(@f)$(carillon "[suggest:${#BUFFER}]" "${BUFFER}" 2>/dev/null)}")
          compadd -a words_now
          _files
        }
        compdef _carillon carillon
        """;

    private const string Fish = """
        # carillon completion fish > ~/.config/fish/completions/carillon.fish
        function __carillon_complete
          set -l line (commandline -cp | string collect)
          carillon "[suggest:"(string length -- $line)"]" $line 2>/dev/null
        end
        complete -c carillon -a "(__carillon_complete)"
        """;

    private const string PowerShell = """
        # carillon completion pwsh | Out-String | Invoke-Expression
        Register-ArgumentCompleter -Native -CommandName carillon -ScriptBlock {
          param($wordToComplete, $commandAst, $cursorPosition)
          carillon "[suggest:$cursorPosition]" "$commandAst" 2>$null | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
          }
        }
        """;

    public static Command Create(CommandRunner runner)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh, fish or pwsh" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish", "pwsh");
        var command = new DocumentedCommand("completion", "Print a completion script for a shell")
        {
            Examples = ["source <(carillon completion bash)", "carillon completion fish > ~/.config/fish/completions/carillon.fish"],
        };
        command.Add(shell);
        runner.Run(command, context =>
        {
            context.Out.WriteLine(context.Parse.GetRequiredValue(shell) switch
            {
                "bash" => Bash,
                "zsh" => Zsh,
                "fish" => Fish,
                _ => PowerShell,
            });
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }
}
