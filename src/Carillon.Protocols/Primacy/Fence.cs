namespace Carillon.Protocols.Primacy;

/// <summary>
/// What an effect of a primary carries: the service and the epoch in which it acts. A receiver that promised or accepted a greater one
/// refuses it. <c>default</c> is no fence.
/// </summary>
public readonly record struct Fence(ServiceName Service, Epoch Epoch)
{
    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => Service.IsNone;

    /// <inheritdoc/>
    public override string ToString() => IsNone ? "none" : $"{Service} epoch {Epoch}";
}
