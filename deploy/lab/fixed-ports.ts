import { FixedPorts } from '../local-fleet/sandbox-facts.ts';
import { freePort } from '../sshd.ts';

/**
 * Chooses ports that are free now, for a fleet whose board learns only once where the servers are. A later start fails
 * if another program has taken one of them.
 */
export const chooseFixedPorts = async (): Promise<FixedPorts> => {
  const taken = new Set<number>();
  const next = async (): Promise<number> => {
    const port = await freePort('127.0.0.1');
    if (taken.has(port)) return next();
    taken.add(port);
    return port;
  };
  return FixedPorts.parse({
    nats: await next(),
    files: await next(),
    ssh: { boltzmann: await next(), fermi: await next(), hertz: await next() },
    board: await next(),
  });
};
