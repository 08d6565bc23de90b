import { type Connection, connect } from '../../host/ssh.ts';
import type { BoardConfig, Peer } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';

/** @throws {StepFailed} (host) if this board's config has no such peer. */
export const peerNamed = (host: Pick<BoardConfig, 'peers'>, name: string): Peer => {
  const peer = Object.hasOwn(host.peers, name) ? host.peers[name] : undefined;
  if (peer === undefined)
    throw new StepFailed(
      'host',
      `This board knows no host ${name}, only ${Object.keys(host.peers).join(', ') || 'none'}: enrol it there.`,
    );
  return peer;
};

/** Does something over a connection to a peer, which ends with it. */
export const atPeer = async <Result>(
  peer: Peer,
  work: (there: Connection) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> => {
  const there = await connect(peer, signal);
  try {
    return await work(there);
  } finally {
    there.close();
  }
};
