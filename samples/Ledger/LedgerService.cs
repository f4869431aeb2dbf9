using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Ledger;

/// <summary>What the ledger knows.</summary>
/// <param name="Entries">How many entries were booked.</param>
/// <param name="Balance">Their sum.</param>
internal sealed record LedgerState(long Entries, long Balance);

/// <summary>
/// A ledger that books an entry twice a second, wherever it is primary. Its state is a small record: the secondaries get it as a
/// checkpoint and go on from there; and once in a while the primary puts it into the store, fenced by its epoch.
/// </summary>
[HostedService(Name)]
public sealed class LedgerService(CarillonClient client) : IHighlyAvailableService
{
    /// <summary>The service that it provides.</summary>
    public const string Name = "ledger";

    private static readonly ObjectName Published = new("ledger", "state.json");
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(500);

    private const int PublishEvery = 10;

    private LedgerState _state = new(0, 0);
    private Task _work = Task.CompletedTask;

    /// <inheritdoc/>
    public Task BecomePrimary(Epoch epoch, CancellationToken ended)
    {
        Console.WriteLine($"primary of epoch {epoch}, from entry {_state.Entries} on");
        _work = WorkAsync(new Fence(ServiceName.Parse(Name), epoch), ended);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task BecomeSecondary()
    {
        await _work;
        Console.WriteLine("secondary");
    }

    /// <inheritdoc/>
    public async Task BecomeSpare()
    {
        await _work;
        Console.WriteLine("spare");
    }

    /// <inheritdoc/>
    public Task<ReadOnlyMemory<byte>> TakeCheckpoint() =>
        Task.FromResult<ReadOnlyMemory<byte>>(JsonSerializer.SerializeToUtf8Bytes(Volatile.Read(ref _state)));

    /// <inheritdoc/>
    public Task ApplyCheckpoint(ReadOnlyMemory<byte> checkpoint)
    {
        _state = JsonSerializer.Deserialize<LedgerState>(checkpoint.Span) ?? _state;
        return Task.CompletedTask;
    }

    /// <summary>The primary's work, until its lease or its role ends.</summary>
    private async Task WorkAsync(Fence fence, CancellationToken ended)
    {
        while (!ended.IsCancellationRequested)
        {
            LedgerState next = new(_state.Entries + 1, _state.Balance + (_state.Entries % 7));
            Volatile.Write(ref _state, next);
            if (next.Entries % PublishEvery == 0)
            {
                await PublishAsync(next, fence, ended);
            }

            await Task.Delay(Pace, ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task PublishAsync(LedgerState state, Fence fence, CancellationToken ended)
    {
        PutSource source = PutSource.FromBytes(JsonSerializer.SerializeToUtf8Bytes(state));
        WriteResult<PutAnswer> put = await client.PutAsync(Published, source, new PutOptions { Fence = fence }, ended);
        string how = put.Verdict == Verdict.Accepted ? "is published" : $"is not published: {put.Problem?.Message}";
        Console.WriteLine($"entry {state.Entries} {how}");
    }
}
