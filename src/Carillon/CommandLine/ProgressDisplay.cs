using System.Diagnostics;
using System.Globalization;
using Carillon.Client.Folders;
using Spectre.Console;

namespace Carillon.CommandLine;

/// <summary>
/// Shows how a transfer goes, on standard error: a bar on a terminal, lines where lines are asked for, nothing in a pipe.
/// </summary>
internal sealed class ProgressDisplay
{
    private static readonly TimeSpan Refresh = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(1);

    private readonly CommandContext _context;
    private readonly string _title;
    private readonly ProgressMeter _meter = new();
    private readonly long _start = Stopwatch.GetTimestamp();

    private ProgressDisplay(CommandContext context, string title)
    {
        _context = context;
        _title = title;
    }

    /// <summary>Runs the work beside its display.</summary>
    public static async Task<T> ShowAsync<T>(CommandContext context, string title, Func<ProgressMeter, Task<T>> work)
    {
        var display = new ProgressDisplay(context, title);
        Task<T> running = work(display._meter);
        try
        {
            await display.FollowAsync(running);
        }
        finally
        {
            display.TellNotes(context.Error.WriteLine);
        }

        return await running;
    }

    private Task FollowAsync(Task running)
    {
        bool terminal = !Console.IsErrorRedirected && ReferenceEquals(_context.Error, Console.Error)
            && Environment.GetEnvironmentVariable("TERM") != "dumb";
        return _context.Progress switch
        {
            ProgressMode.Auto when terminal && !_context.Quiet => BarAsync(running),
            ProgressMode.Plain => LinesAsync(running, PlainLine),
            ProgressMode.Json => LinesAsync(running, JsonLine),
            _ => SilentAsync(running),
        };
    }

    private async Task SilentAsync(Task running)
    {
        while (await Task.WhenAny(running, Task.Delay(LineInterval)) != running)
        {
            TellNotes(_context.Error.WriteLine);
        }
    }

    private async Task LinesAsync(Task running, Func<string> line)
    {
        while (await Task.WhenAny(running, Task.Delay(LineInterval)) != running)
        {
            TellNotes(_context.Error.WriteLine);
            await _context.Error.WriteLineAsync(line());
        }

        await _context.Error.WriteLineAsync(line());
    }

    private async Task BarAsync(Task running)
    {
        // What is over at once needs no bar.
        if (await Task.WhenAny(running, Task.Delay(300)) == running)
        {
            return;
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(Console.Error),
            // By itself it looks at standard output, which may be a pipe while the bar is seen.
            Ansi = AnsiSupport.Yes,
            Interactive = InteractionSupport.Yes,
            ColorSystem = _context.Colorless ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
        });
        await console.Progress().AutoClear(true).HideCompleted(false)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new TransferSpeedColumn(),
                new RemainingTimeColumn())
            .StartAsync(async display =>
            {
                ProgressTask task = display.AddTask(Markup.Escape(_title), maxValue: 1);
                do
                {
                    TellNotes(line => console.WriteLine(line));
                    task.MaxValue = Math.Max(1, _meter.Total);
                    task.Value = Math.Min(_meter.Moved, task.MaxValue);
                    task.IsIndeterminate = _meter.Total == 0;
                    task.Description = Markup.Escape(_meter.FilesFound > 0 ? $"{_title} {_meter.FilesDone}/{_meter.FilesFound}" : _title);
                }
                while (await Task.WhenAny(running, Task.Delay(Refresh)) != running);
            });
    }

    private void TellNotes(Action<string> write)
    {
        while (_meter.Notes.TryDequeue(out FolderNote? note))
        {
            if (note.Failure is null)
            {
                if (!_context.Quiet)
                {
                    write(OneLine($"skipped {note.Path}: {note.Reason}"));
                }

                continue;
            }

            string advice = note.Key is null ? "" : $"; ask with: carillon submission show --key {note.Key}";
            write(OneLine($"failed {note.Path}: {note.Reason}{advice}"));
        }
    }

    // Names of files may hold anything but a slash.
    private static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));

    private string PlainLine()
    {
        double seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
        string files = _meter.FilesFound > 0 ? $"{_meter.FilesDone}/{_meter.FilesFound} files, " : "";
        string total = _meter.Total > 0 ? $" of {Quantities.Size(_meter.Total)}" : "";
        return $"{_title}: {files}{Quantities.Size(_meter.Moved)}{total}, {Quantities.Size(_meter.Moved / Math.Max(seconds, 0.001))}/s";
    }

    private string JsonLine()
    {
        double seconds = Math.Round(Stopwatch.GetElapsedTime(_start).TotalSeconds, 3);
        string bytes = string.Create(CultureInfo.InvariantCulture, $"\"bytes\":{_meter.Moved},\"total\":{_meter.Total}");
        string files = string.Create(CultureInfo.InvariantCulture, $"\"files\":{_meter.FilesDone},\"filesFound\":{_meter.FilesFound}");
        return string.Create(CultureInfo.InvariantCulture, $"{{\"progress\":{{{bytes},{files},\"seconds\":{seconds}}}}}");
    }
}
