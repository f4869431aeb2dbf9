using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Histories made by hand for the checkers: what clients asked and were told, what servers sent, what catalogs say.</summary>
internal sealed class HandMade
{
    public static readonly NodeId S1 = NodeId.Parse("s1");

    public static readonly NodeId S2 = NodeId.Parse("s2");

    private int _number;

    public Evidence Evidence { get; } = new();

    public static Tag TagOf(ulong stamp, ulong nonce = 0) => new(new Uid(new Timestamp(stamp), S1), nonce);

    public static ObjectName Name(string name) => new(Workload.Bucket, name);

    public static PlannedOperation Delete(string name) => new(OperationKind.Delete, Name(name), null, default, []);

    public static ServerImage Image(NodeId server, params ListedVersion[] versions) =>
        new(server, default, [.. versions], [], RacedExists: false);

    public static ListedVersion Version(PlannedOperation operation, Tag tag, bool isCurrent = true) => new(
        operation.Target, tag.Uid, tag, operation.Kind, operation.Content.Length,
        operation.Kind == OperationKind.Put ? Digest.Of(operation.Content.Span) : default, isCurrent, "", []);

    /// <summary>Runs a checker that must find the rule broken.</summary>
    public static void Breaks(string rule, Action check) =>
        Assert.StartsWith(rule + ":", Assert.Throws<SimulationFailedException>(check).Message, StringComparison.Ordinal);

    /// <summary>A put of a content that nothing else has, in chunks if any are given.</summary>
    public PlannedOperation Put(string name, string value, params byte[][] chunks)
    {
        byte[] content = chunks.Length > 0 ? [.. chunks.SelectMany(chunk => chunk)] : Encoding.ASCII.GetBytes(value);
        ImmutableArray<ReadOnlyMemory<byte>> pieces = [.. chunks.Select(chunk => new ReadOnlyMemory<byte>(chunk))];
        Evidence.Know(Digest.Of(content), value, pieces);
        return new PlannedOperation(OperationKind.Put, Name(name), value, content, pieces);
    }

    /// <summary>A write that began and was answered at these seconds.</summary>
    public WriteRecord Wrote(
        LibraryVerdict verdict, Tag tag, int invoked, int returned, string? key, params PlannedOperation[] operations)
    {
        int number = ++_number;
        var record = new WriteRecord(number, "c1", key ?? FormattableString.Invariant($"key-{number}"), [.. operations], At(invoked))
        {
            Verdict = verdict, Tag = tag, Returned = At(returned),
        };
        SubmitOutcome? answer = verdict switch
        {
            LibraryVerdict.Accepted => new SubmitOutcome.Accepted(tag, Replayed: false),
            LibraryVerdict.Rejected => new SubmitOutcome.Rejected(RejectionReason.NoQuorum, ""),
            _ => null,
        };
        record.Attempts.Add(new AttemptRecord(S1) { Answer = answer });
        Evidence.Writes.Add(record);
        return record;
    }

    public static Instant At(int seconds) => default(Instant) + TimeSpan.FromSeconds(seconds);
}
