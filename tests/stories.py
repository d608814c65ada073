"""What clients of a disturbed world (`wired.py`) went through, by chance, as test vectors: a second client is held against the first."""

import random

from tests.wired import FAULTS, LISTS, World


def stories(seed, steps, *, records=True):
    """One for each client; the same for the same seed."""
    world, chance = World(records=records), random.Random(seed)
    for _ in range(steps):
        name, watcher = chance.choice([*LISTS, "mine"]), chance.choice(world.watchers)
        symbols = chance.sample("ABCDEF", chance.randint(0, 5))
        members = {symbol: chance.choice([None, 0, 1.5, -2]) for symbol in symbols}
        for _ in range(chance.randint(0, 3)):
            chance.choice([world.change, world.reprice, world.reprice])(name, members)
        match chance.randrange(40):
            case 0:
                world.scanner.restart()
            case 1:
                world.edit(name, members)
            case 2:
                world.remove("mine")
            case 3:
                world.empty_bus()
            case 4:
                world.next_session(chance.randint(1, 4), scanner_first=chance.random() < 0.5)
            case 5:
                watcher.break_off(gateway_notices=chance.random() < 0.5)
            case 6 | 7:
                world.stick(chance.randrange(3), is_stuck=chance.random() < 0.5)
            case 8 | 9:
                world.wait(chance.choice([0.1, 2.0, 6.0]))
                world.gateway.look(world.now)
        world.carry_bus(
            chance.choice([1, 3, None]), chance.choice([None] * 9 + [*FAULTS]), chance.randrange(9), chance.choice([1, 3, None])
        )
        world.disturb_socket(chance.randrange(3), chance.choice([None] * 9 + [*FAULTS]), chance.randrange(9))
        watcher.read(world.now, chance.choice([2, None]))
        if chance.random() < 0.2:
            world.lose_request(world.watchers.index(watcher))
        watcher.speak(world.now)
        world.check()
    world.calm()
    world.gateway.close()
    return [{"name": f"seed {seed}, client {number}", "steps": each.steps} for number, each in enumerate(world.watchers)]
