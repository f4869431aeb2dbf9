using System.Security.Cryptography.X509Certificates;
using Carillon.Protocols;
using Carillon.Runtime.Security;

namespace Carillon.Runtime.Tests.Security;

public sealed class KeyringTests : IDisposable
{
    private static readonly DateTimeOffset Now = DateTimeOffset.UtcNow;
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");

    private readonly ClusterAuthority _authority = ClusterAuthority.Create("demo", Now);
    private readonly ClusterKeys _keys = ClusterKeys.Create();
    private readonly Keyring _ring;

    public KeyringTests() => _ring = Keyring.Create(_authority, S1, _keys, Now);

    public void Dispose()
    {
        _ring.Dispose();
        _authority.Dispose();
    }

    [Fact]
    public void Certificate_of_the_same_authority_is_good_and_names_its_server()
    {
        using X509Certificate2 other = _authority.Issue(S2, Now);
        Assert.Null(_ring.FaultOf(other, null, out NodeId peer));
        Assert.Equal(S2, peer);
        Assert.Null(_ring.FaultOf(other, S2, out _));
        Assert.Equal("carillon:demo:server:s2", CertificateName.Of(other)!.ToString());
    }

    [Fact]
    public void Certificate_of_another_server_than_expected_is_refused() =>
        Assert.Equal("its certificate is for server 's1', expected 's2'", _ring.FaultOf(_ring.Certificate, S2, out _));

    [Fact]
    public void No_certificate_is_refused() => Assert.Equal("it showed no certificate", _ring.FaultOf(null, null, out _));

    [Fact]
    public void Certificate_of_another_authority_of_the_same_name_is_refused()
    {
        using ClusterAuthority other = ClusterAuthority.Create("demo", Now);
        using X509Certificate2 certificate = other.Issue(S2, Now);
        Assert.Equal("its certificate is not signed by this cluster's authority", _ring.FaultOf(certificate, S2, out _));
        Assert.Throws<SecurityFileException>(() => Keyring.Create(other, S1, _keys, Now) is { } good
            ? new Keyring(_authority.Certificate, good.Certificate, _keys) : null);
    }

    [Fact]
    public void Expired_certificate_and_one_of_the_future_are_refused()
    {
        CertificateName name = new("demo", CertificateName.Server, S2);
        using X509Certificate2 expired = _authority.Issue(name, Now.AddHours(-2), Now.AddHours(-1));
        using X509Certificate2 early = _authority.Issue(name, Now.AddDays(2), Now.AddDays(3));
        Assert.StartsWith("its certificate is valid from ", _ring.FaultOf(expired, S2, out _));
        Assert.StartsWith("its certificate is valid from ", _ring.FaultOf(early, S2, out _));
    }

    [Fact]
    public void Certificate_for_another_cluster_or_role_or_without_a_name_is_refused()
    {
        using X509Certificate2 elsewhere = _authority.Issue(new CertificateName("other", CertificateName.Server, S2), Now, Now.AddDays(1));
        using X509Certificate2 agent = _authority.Issue(new CertificateName("demo", "agent", S2), Now, Now.AddDays(1));
        Assert.Equal("its certificate is for cluster 'other', this is 'demo'", _ring.FaultOf(elsewhere, S2, out _));
        Assert.Equal("its certificate is for the role 'agent', not a server", _ring.FaultOf(agent, S2, out _));
        Assert.NotNull(_ring.FaultOf(_authority.Certificate, null, out _));
    }

    [Fact]
    public void Keyring_saved_and_loaded_is_the_same_and_private()
    {
        using TemporaryDirectory directory = new();
        _ring.Save(directory.Path);
        using Keyring loaded = Keyring.Load(directory.Path);

        Assert.Equal(_ring.Certificate.Thumbprint, loaded.Certificate.Thumbprint);
        Assert.True(loaded.Certificate.HasPrivateKey);
        Assert.Equal("demo", loaded.Cluster);
        Assert.Equal(S1, loaded.Name);
        Assert.Equal(_ring.Keys.ToText(), loaded.Keys.ToText());
        if (!OperatingSystem.IsWindows())
        {
            foreach (string file in Directory.GetFiles(directory.Path))
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            }
        }
    }

    [Fact]
    public void Authority_saved_and_loaded_signs_further_servers()
    {
        using TemporaryDirectory directory = new();
        _authority.Save(directory.Path);
        using ClusterAuthority loaded = ClusterAuthority.Load(directory.Path, "demo");
        using X509Certificate2 certificate = loaded.Issue(S2, Now);
        Assert.Null(_ring.FaultOf(certificate, S2, out _));
    }

    [Fact]
    public void Key_file_open_to_others_missing_or_damaged_is_refused_with_its_path()
    {
        using TemporaryDirectory directory = new();
        string key = directory.At(Keyring.KeyFile);
        Assert.Contains("does not exist", Refusal(directory));

        _ring.Save(directory.Path);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
            Assert.Equal($"{key} is open to other users: run 'chmod 600 {key}'.", Refusal(directory));
        }

        SecretFile.Write(key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        Assert.Contains(key, Refusal(directory));
        _ring.Save(directory.Path);
        SecretFile.Write(directory.At(Keyring.ClusterKeyFile), "1 00ff\n");
        Assert.Contains("is damaged", Refusal(directory));
    }

    [Fact]
    public void Cluster_key_is_changed_in_three_steps_and_each_survives_its_text()
    {
        ClusterKeys announced = _keys.Announce();
        ClusterKeys promoted = announced.Promote();
        ClusterKeys retired = promoted.Retire();
        Assert.Equal((1u, 2u), (announced.Sealing.Epoch, announced.All[1].Epoch));
        Assert.Equal((2u, 1u), (promoted.Sealing.Epoch, promoted.All[1].Epoch));
        Assert.Equal(2u, Assert.Single(retired.All).Epoch);
        Assert.Equal(3u, retired.Announce().All[1].Epoch);
        foreach (ClusterKeys keys in new[] { _keys, announced, promoted, retired })
        {
            ClusterKeys read = ClusterKeys.Parse(keys.ToText())!;
            Assert.Equal(keys.ToText(), read.ToText());
            Assert.Equal(keys.Sealing.Epoch, read.Sealing.Epoch);
        }

        string line = _keys.ToText();
        Assert.Null(ClusterKeys.Parse(""));
        Assert.Null(ClusterKeys.Parse(line + line));
        Assert.Null(ClusterKeys.Parse(line.Replace("1 ", "-1 ")));
        Assert.Null(ClusterKeys.Parse(announced.ToText() + "3" + line[1..]));
    }

    [Theory]
    [InlineData("carillon:demo:server:s1", true)]
    [InlineData("carillon:Demo:server:s1", false)]
    [InlineData("carillon:demo:server", false)]
    [InlineData("carillon:demo::s1", false)]
    [InlineData("carillon:demo:server:s1:x", false)]
    [InlineData("carillon:demo:server:S1", false)]
    [InlineData("other:demo:server:s1", false)]
    public void Certificate_name_is_read_strictly(string text, bool good) => Assert.Equal(good, CertificateName.Parse(text) is not null);

    private static string Refusal(TemporaryDirectory directory) =>
        Assert.Throws<SecurityFileException>(() => Keyring.Load(directory.Path)).Message;
}
