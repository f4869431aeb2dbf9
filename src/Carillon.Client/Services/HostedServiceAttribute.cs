namespace Carillon.Client.Services;

/// <summary>
/// Names the service that an <see cref="IHighlyAvailableService"/> provides where a server hosts it (<c>files.services</c>). The class is
/// public, and has a constructor that takes a <see cref="CarillonClient"/>, or nothing.
/// </summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class HostedServiceAttribute(string name) : Attribute
{
    /// <summary>The service's name.</summary>
    public string Name { get; } = name;
}
