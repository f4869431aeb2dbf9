using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>
/// Visits every state that selection by disqualification can come to with a few nodes: each node's begin, each call's and answer's
/// arrival, a crash and each node's notice of it, in every order (RMM-23). The nodes are <see cref="Selection"/> itself.
/// </summary>
internal sealed class SelectionExplorer
{
    private static readonly Epoch Run = new(7);

    private readonly int _nodes;
    private readonly int? _crashing;
    private readonly bool _worstOrder;
    private readonly NodeId[] _names;
    private readonly Rank[] _ranks;
    private readonly HashSet<Key> _seen = [];
    private readonly Stack<World> _open = new();

    /// <summary>Prepares a run.</summary>
    /// <param name="nodes">How many nodes; the last has the greatest rank.</param>
    /// <param name="crashing">The node that may crash at any moment, or null.</param>
    /// <param name="worstOrder">True: the lowest ranks are called first, as by nodes that know nothing of the others' ranks.</param>
    public SelectionExplorer(int nodes, int? crashing, bool worstOrder)
    {
        _nodes = nodes;
        _crashing = crashing;
        _worstOrder = worstOrder;
        _names = [.. Enumerable.Range(0, nodes).Select(i => NodeId.Parse($"s{i}"))];
        _ranks = [.. _names.Select((n, i) => new Rank(i % 2 == 0 ? RankClass.Spare : RankClass.Secondary, default, 0, n))];
        Array.Sort(_ranks);
        _names = [.. _ranks.Select(r => r.Node)];
    }

    /// <summary>States visited.</summary>
    public int States => _seen.Count;

    /// <summary>The most calls on any way.</summary>
    public int MostCalls { get; private set; }

    /// <summary>Visits all; a final state in which selection failed is returned as text.</summary>
    public string? Explore()
    {
        Push(new World(_nodes, _names));
        while (_open.TryPop(out World? world))
        {
            if (Successors(world) == 0 && FaultOf(world) is { } fault)
            {
                return fault;
            }
        }

        return null;
    }

    private int Successors(World world)
    {
        int count = 0;
        for (int i = 0; i < _nodes; i++)
        {
            Actor actor = world.Actors[i];
            if (actor.IsDown)
            {
                continue;
            }

            if (!actor.HasBegun)
            {
                count += Next(world, i, (w, a) => Begin(w, i));
            }

            if (actor.Stage == Stage.Asking)
            {
                count += Next(world, i, (w, a) => Deliver(w, i));
            }
            else if (actor.Stage == Stage.Answering)
            {
                count += Next(world, i, (w, a) => Return(w, i));
            }

            if (_crashing is { } crashed && world.Actors[crashed].IsDown && !actor.HasNoticed)
            {
                count += Next(world, i, (w, a) => Notice(w, i, crashed));
            }
        }

        if (_crashing is { } victim && !world.Actors[victim].IsDown)
        {
            count += Next(world, victim, (w, a) => a.IsDown = true);
        }

        return count;
    }

    private int Next(World world, int node, Action<World, Actor> step)
    {
        World next = world.Fork();
        step(next, next.Actors[node]);
        Push(next);
        return 1;
    }

    private void Begin(World world, int node)
    {
        Actor actor = world.Actors[node];
        actor.HasBegun = true;
        var others = _ranks.Where(r => r.Node != _names[node]);
        others = _worstOrder ? others.Order() : others.OrderDescending();
        actor.Selection.Begin(_ranks[node], [.. others.Select(r => r.Node)]);
        CallNext(world, node);
    }

    private void CallNext(World world, int node)
    {
        Actor actor = world.Actors[node];
        actor.Stage = Stage.None;
        if (actor.Selection.Called is { IsNone: false } called)
        {
            if (_crashing is { } crashed && actor.HasNoticed && called == _names[crashed])
            {
                actor.Selection.Skip(called);
                CallNext(world, node);
                return;
            }

            actor.Stage = Stage.Asking;
            actor.Called = Array.IndexOf(_names, called);
            world.Calls++;
            MostCalls = Math.Max(MostCalls, world.Calls);
        }
    }

    private void Deliver(World world, int caller)
    {
        Actor actor = world.Actors[caller];
        Actor called = world.Actors[actor.Called];
        if (called.IsDown)
        {
            // Lost: the caller's notice of the crash ends the call.
            actor.Stage = Stage.None;
            return;
        }

        SelectionPhase before = called.Selection.Phase;
        actor.Answer = called.Selection.Asked(actor.Selection.Run, _ranks[caller], _ranks[actor.Called]);
        actor.Stage = Stage.Answering;
        if (before == SelectionPhase.Calling && called.Selection.Phase != SelectionPhase.Calling)
        {
            called.Stage = called.Stage == Stage.Answering ? Stage.Answering : Stage.None;
        }
    }

    private void Return(World world, int caller)
    {
        Actor actor = world.Actors[caller];
        actor.Stage = Stage.None;
        actor.Selection.Answered(_names[actor.Called], actor.Answer);
        CallNext(world, caller);
    }

    private void Notice(World world, int node, int crashed)
    {
        Actor actor = world.Actors[node];
        actor.HasNoticed = true;
        bool isCalled = actor.Stage != Stage.None && actor.Called == crashed;
        actor.Selection.Vanished(_names[crashed]);
        if (!actor.HasBegun || actor.Selection.Phase == SelectionPhase.Aside)
        {
            Begin(world, node);
        }
        else if (isCalled || actor.Stage == Stage.None)
        {
            CallNext(world, node);
        }
    }

    private string? FaultOf(World world)
    {
        var alive = Enumerable.Range(0, _nodes).Where(i => !world.Actors[i].IsDown).ToArray();
        int[] standing = [.. alive.Where(i => world.Actors[i].Selection.Phase == SelectionPhase.Standing)];
        if (standing.Length != 1)
        {
            return $"{standing.Length} nodes stand: {world}";
        }

        NodeId winner = _names[standing[0]];
        return alive.All(i => world.Actors[i].Selection.Candidate.Node == winner) ? null : $"not all name {winner}: {world}";
    }

    private void Push(World world)
    {
        if (_seen.Add(world.Key()))
        {
            _open.Push(world);
        }
    }

    private enum Stage
    {
        None,
        Asking,
        Answering,
    }

    private readonly record struct Key(UInt128 Low, UInt128 High);

    private sealed class Actor(NodeId name)
    {
        public Selection Selection { get; private set; } = Started(name);

        public bool HasBegun { get; set; }

        public bool HasNoticed { get; set; }

        public bool IsDown { get; set; }

        public Stage Stage { get; set; }

        public int Called { get; set; }

        public CallAnswer Answer { get; set; }

        public Actor Fork()
        {
            var copy = (Actor)MemberwiseClone();
            copy.Selection = Selection.Fork();
            return copy;
        }

        private static Selection Started(NodeId name)
        {
            var selection = new Selection(name);
            selection.HandedOver(Run, default, default);
            return selection;
        }
    }

    private sealed class World
    {
        public World(int nodes, NodeId[] names) => Actors = [.. Enumerable.Range(0, nodes).Select(i => new Actor(names[i]))];

        private World(Actor[] actors, int calls)
        {
            Actors = actors;
            Calls = calls;
        }

        public Actor[] Actors { get; }

        public int Calls { get; set; }

        public World Fork() => new([.. Actors.Select(a => a.Fork())], Calls);

        public Key Key()
        {
            UInt128 low = 0;
            UInt128 high = (UInt128)Calls;
            foreach (Actor actor in Actors)
            {
                (SelectionPhase phase, _, NodeId candidate, NodeId own, bool anyway, int next) = actor.Selection.Key;
                low = (low << 25) | (UInt128)(uint)(
                    (int)phase | (Number(candidate) << 3) | (own.IsNone ? 0 : 1 << 6) | (anyway ? 1 << 7 : 0) | (next << 8)
                    | (actor.HasBegun ? 1 << 11 : 0) | (actor.HasNoticed ? 1 << 12 : 0) | (actor.IsDown ? 1 << 13 : 0)
                    | ((int)actor.Stage << 14));
                int answer = actor.Stage != Stage.Answering ? 0 : ((int)actor.Answer.Verdict << 8) | (Number(actor.Answer.Rank.Node) << 12);
                high = (high << 16) | (UInt128)(uint)(actor.Stage == Stage.None ? 0 : (actor.Called << 4) | answer);
            }

            return new Key(low, high);
        }

        public override string ToString() => string.Join("; ", Actors.Select(a => $"{a.Selection.Key} down {a.IsDown}"));

        private static int Number(NodeId node) => node.IsNone ? 7 : node.Name[1] - '0';
    }
}
