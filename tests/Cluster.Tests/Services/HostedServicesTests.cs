using Carillon.Client.Services;
using Carillon.Hosting;
using Carillon.Protocols.Primacy;
using Xunit;

namespace Cluster.Tests.Services;

/// <summary>Which classes of an assembly a server hosts.</summary>
public sealed class HostedServicesTests
{
    [Fact]
    public void Classes_with_the_attribute_are_found_by_their_services_names() =>
        Assert.Equal([("hosted", typeof(Hosted))], HostedServices.Find(typeof(HostedServicesTests).Assembly));

    /// <summary>A service that does nothing.</summary>
    [HostedService("hosted")]
    public sealed class Hosted : IHighlyAvailableService
    {
        public Task BecomePrimary(Epoch epoch, CancellationToken ended) => Task.CompletedTask;

        public Task BecomeSecondary() => Task.CompletedTask;

        public Task BecomeSpare() => Task.CompletedTask;

        public Task<ReadOnlyMemory<byte>> TakeCheckpoint() => Task.FromResult(ReadOnlyMemory<byte>.Empty);

        public Task ApplyCheckpoint(ReadOnlyMemory<byte> checkpoint) => Task.CompletedTask;
    }

    /// <summary>Named, but no service.</summary>
    [HostedService("other")]
    public sealed class Other;
}
