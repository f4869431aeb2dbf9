using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Runtime.Tests")]
[assembly: InternalsVisibleTo("Cluster.Tests")]
[assembly: InternalsVisibleTo("Gateway.Tests")]
