using Carillon.Runtime.Security;

namespace Carillon.Runtime.Tests.Security;

public sealed class BearerTokensTests
{
    [Fact]
    public void Token_is_found_by_itself_alone()
    {
        string token = BearerTokens.Generate();
        BearerTokens tokens = BearerTokens.None.With("other", BearerTokens.Generate()).With("admin", token);

        Assert.Equal("admin", tokens.Find(token));
        Assert.Null(tokens.Find(token[..^1]));
        Assert.Null(tokens.Find(token + "x"));
        Assert.Null(tokens.Find(""));
        Assert.Null(tokens.Find(new string('x', 100_000)));
        Assert.Null(BearerTokens.None.Find(token));
    }

    [Fact]
    public void Tokens_saved_and_loaded_are_the_same_and_do_not_hold_the_token()
    {
        using TemporaryDirectory directory = new();
        string token = BearerTokens.Generate();
        BearerTokens.None.With("admin", token).Save(directory.Path);

        Assert.Equal("admin", BearerTokens.Load(directory.Path).Find(token));
        Assert.DoesNotContain(token, File.ReadAllText(directory.At(BearerTokens.File)));
        SecretFile.Write(directory.At(BearerTokens.File), "admin 00\n");
        Assert.Throws<SecurityFileException>(() => BearerTokens.Load(directory.Path));
    }

    [Fact]
    public void Token_replaced_or_taken_back_is_no_longer_found()
    {
        string first = BearerTokens.Generate();
        string second = BearerTokens.Generate();
        Assert.NotEqual(first, second);
        BearerTokens tokens = BearerTokens.None.With("admin", first).With("admin", second);

        Assert.Null(tokens.Find(first));
        Assert.Equal(["admin"], tokens.Names);
        Assert.Null(tokens.Without("admin").Find(second));
    }
}
