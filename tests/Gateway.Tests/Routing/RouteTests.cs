using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Gateway.Tests.Routing;

/// <summary>Raw targets taken apart: what is not decoded can't escape, what is decoded once meets the name rules.</summary>
public sealed class RouteTests
{
    [Theory]
    [InlineData("/v1/buckets", "Buckets", "", "", "")]
    [InlineData("/v1/buckets?x=1", "Buckets", "", "", "x=1")]
    [InlineData("/v1/buckets/b", "Bucket", "b", "", "")]
    [InlineData("/v1/buckets/", "Bucket", "", "", "")]
    [InlineData("/v1/buckets/b/objects", "Listing", "b", "", "")]
    [InlineData("/v1/buckets/b/objects?prefix=a/b", "Listing", "b", "", "prefix=a/b")]
    [InlineData("/v1/buckets/b/objects/", "Object", "b", "", "")]
    [InlineData("/v1/buckets/b/objects/a/b?version=1", "Object", "b", "a/b", "version=1")]
    [InlineData("/v1/buckets/b/objects/a%2Fb", "Object", "b", "a%2Fb", "")]
    [InlineData("/v1/buckets/b/objects/../../v1/cluster", "Object", "b", "../../v1/cluster", "")]
    [InlineData("/v1/buckets/../cluster", "None", "", "", "")]
    [InlineData("/v1/buckets/b/things/x", "None", "", "", "")]
    [InlineData("/v1/buckets/%2e%2e/objects/x", "Object", "%2e%2e", "x", "")]
    [InlineData("/v1/changesets", "Changesets", "", "", "")]
    [InlineData("/v1/changesets/x", "None", "", "", "")]
    [InlineData("/v1/submissions?key=k", "SubmissionByKey", "", "", "key=k")]
    [InlineData("/v1/submissions/1-2@s1.00", "Submission", "", "1-2@s1.00", "")]
    [InlineData("/v1/explain/b/a/c", "Explain", "b", "a/c", "")]
    [InlineData("/v1/explain", "None", "", "", "")]
    [InlineData("/v1/cluster", "Cluster", "", "", "")]
    [InlineData("/v1/cluster/", "None", "", "", "")]
    [InlineData("/healthz/live", "Live", "", "", "")]
    [InlineData("/healthz/ready?x", "Ready", "", "", "x")]
    [InlineData("/healthz/cluster", "ClusterHealth", "", "", "")]
    [InlineData("/metrics", "Metrics", "", "", "")]
    [InlineData("/V1/buckets", "None", "", "", "")]
    [InlineData("//v1/buckets", "None", "", "", "")]
    [InlineData("/", "None", "", "", "")]
    [InlineData("*", "None", "", "", "")]
    [InlineData("", "None", "", "", "")]
    [InlineData("http://host:1/v1/buckets/b", "Bucket", "b", "", "")]
    [InlineData("HTTPS://host/v1/cluster?a", "Cluster", "", "", "a")]
    [InlineData("http://host", "None", "", "", "")]
    public void Target_has_one_meaning(string target, string kind, string bucket, string name, string query)
    {
        Route route = Route.Of(target);

        Assert.Equal(kind, route.Kind.ToString());
        if (route.Kind != RouteKind.None)
        {
            Assert.Equal(bucket, route.Bucket.ToString());
            Assert.Equal(name, route.Name.ToString());
            Assert.Equal(query, route.Query.ToString());
        }
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("a%2Fb", "a/b")]
    [InlineData("a%2fb%20c", "a/b c")]
    [InlineData("%252e", "%2e")]
    [InlineData("a+b", "a+b")]
    [InlineData("%C3%BC", "ü")]
    [InlineData("%F0%9F%94%94", "🔔")]
    [InlineData("%00", "\0")]
    [InlineData("", "")]
    [InlineData("%", null)]
    [InlineData("%2", null)]
    [InlineData("%zz", null)]
    [InlineData("%+1", null)]
    [InlineData("%C3", null)]
    [InlineData("%C0%AF", null)]
    [InlineData("%ED%A0%80", null)]
    [InlineData("%FF", null)]
    [InlineData("ü", null)]
    public void Encoded_text_is_decoded_once_and_strictly(string encoded, string? expected)
    {
        bool good = PercentCoding.TryDecode(encoded, plusIsSpace: false, out string text, out string fault);

        Assert.Equal(expected is not null, good);
        Assert.Equal(expected is null, fault.Length > 0);
        if (good)
        {
            Assert.Equal(expected, text);
        }
    }

    [Fact]
    public void Random_targets_never_throw_and_names_that_pass_keep_the_rules()
    {
        string[] pieces =
        [
            "/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%2F..", "%00", "%0d%0a", "%", "%f", "%C0%AF", "%C3%BC", "ü", "v1", "buckets",
            "files", "objects",
            "a", "b.txt", "?", "&", "=", "+", "#", "\\", ":", "@", "http://", "explain", "%25", "%252F", " ", "\u007F", "\u0085",
        ];
        var random = new RandomSource(7);
        int passed = 0;
        for (int i = 0; i < 200_000; i++)
        {
            string target = random.Chance(0.6) ? "/v1/buckets/files/objects/" : "";
            for (int count = random.Below(9); count > 0; count--)
            {
                target += random.Chance(0.05) ? ((char)random.Below(0x300)).ToString() : pieces[random.Below(pieces.Length)];
            }

            Route route = Route.Of(target);
            _ = QueryText.TryRead(route.Query, ["a", "b"], out _, out _);
            if (route.Kind == RouteKind.Object
                && PercentCoding.TryDecode(route.Name, false, out string name, out _) && ObjectName.FaultOfName(name) is null)
            {
                passed++;
                Assert.DoesNotContain(name.Split('/'), segment => segment is "" or "." or "..");
                Assert.DoesNotContain(name, char.IsControl);
                string again = "/v1/buckets/files/objects/" + string.Join('/', name.Split('/').Select(PercentCoding.Encode));
                Assert.True(PercentCoding.TryDecode(Route.Of(again).Name, false, out string same, out _));
                Assert.Equal(name, same);
            }
        }

        Assert.True(passed > 1000, $"only {passed} names passed");
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("version=1", "version=1")]
    [InlineData("version=a%26b&consistency=x+y", "version=a&b;consistency=x y")]
    [InlineData("&&version&", "version=")]
    [InlineData("verison=1", null)]
    [InlineData("version=1&version=2", null)]
    [InlineData("version=%zz", null)]
    public void Query_takes_only_known_parameters_once(string query, string? expected)
    {
        bool good = QueryText.TryRead(query, ["version", "consistency"], out QueryText parameters, out string fault);

        Assert.Equal(expected is not null, good);
        Assert.Equal(expected is null, fault.Length > 0);
        foreach (string pair in (expected ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.Equal(pair[(pair.IndexOf('=') + 1)..], parameters[pair[..pair.IndexOf('=')]]);
        }
    }
}
