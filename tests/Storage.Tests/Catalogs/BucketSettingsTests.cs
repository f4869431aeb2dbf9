using System.Text;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Storage.Tests.Catalogs;

public sealed class BucketSettingsTests
{
    [Fact]
    public void Settings_have_these_bytes() => Assert.Equal(
        """{"replicas":3,"minimum":null,"versions":10,"chunkSize":1048576,"compression":"none","deduplication":"","ackAgreed":true}""",
        Encoding.UTF8.GetString(new BucketSettings().Write()));

    [Fact]
    public void Settings_come_back_as_they_were_written()
    {
        var settings = new BucketSettings
        {
            Replicas = 5, Minimum = 2, Versions = 1, ChunkSize = 64 << 10, Compression = Compression.Brotli, Deduplication = "games",
        };
        Assert.True(BucketSettings.TryRead(settings.Write(), out BucketSettings? read, out _));
        Assert.Equal(settings, read);
    }

    [Fact]
    public void Settings_left_out_have_their_defaults()
    {
        Assert.True(BucketSettings.TryRead("""{"compression":"deflate"}"""u8, out BucketSettings? read, out _));
        Assert.Equal(new BucketSettings { Compression = Compression.Deflate }, read);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("3", "bucket settings are a JSON object")]
    [InlineData("{\"replicas\":3", "")]
    [InlineData("{}{}", "")]
    [InlineData("{\"replica\":3}", "there is no bucket setting 'replica'")]
    [InlineData("{\"replicas\":\"3\"}", "replicas is a whole number")]
    [InlineData("{\"replicas\":2.5}", "replicas is a whole number")]
    [InlineData("{\"replicas\":[3]}", "replicas is a whole number")]
    [InlineData("{\"replicas\":0}", "replicas is 1 to 64, not 0")]
    [InlineData("{\"replicas\":2,\"minimum\":3}", "minimum is 1 to replicas (2), not 3")]
    [InlineData("{\"versions\":1001}", "versions is 1 to 1000, not 1001")]
    [InlineData("{\"chunkSize\":100}", "chunkSize is 4096 to 67108864 bytes, not 100")]
    [InlineData("{\"compression\":\"zip\"}", "compression is none, brotli or deflate")]
    [InlineData("{\"deduplication\":\"A b\"}", "deduplication is the name of a domain")]
    [InlineData("{\"deduplication\":\"\\ud800\"}", "")]
    public void Settings_that_are_wrong_are_refused_with_the_reason(string json, string fault)
    {
        Assert.False(BucketSettings.TryRead(Encoding.UTF8.GetBytes(json), out BucketSettings? settings, out string why));
        Assert.Null(settings);
        Assert.NotEqual("", why);
        Assert.StartsWith(fault, why, StringComparison.Ordinal);
    }
}
