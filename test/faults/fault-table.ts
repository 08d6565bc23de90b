import type { TestTable } from '../tables/test-table.ts';

/** A fault and what must happen then. */
export type Fault = {
  id: string;
  fault: string;
  expected: string;
};

/** A table of faults. */
export const tableOfFaults = (rows: readonly Fault[]): TestTable => ({
  columns: [
    { key: 'fault', head: 'fault', share: 0.4 },
    { key: 'expected', head: 'expected', share: 0.6 },
  ],
  rows,
});

const stepsGoOn = 'steps go on, outboxes drain in order, noticed within 30 s, reconnects for ever';
const fermiBuilds =
  'fermi builds as the next attempt; boltzmann, back later, does not publish a superseded package; the risk it answers is named in the ledger';
const classified =
  'classified; a rolled-back board ends the iteration; a lost board waits for a person, with what was last seen';

/** What the fault suite proves: each row has at least one test in this folder, and all of them pass. */
export const faultTable = [
  { id: 'nats-killed', fault: 'nats-server killed and restarted', expected: stepsGoOn },
  {
    id: 'nats-down',
    fault: 'nats-server down for twice the hosts’ grace: 90 s; ten minutes with --thorough',
    expected: stepsGoOn,
  },
  { id: 'nats-half-open', fault: 'half-open connection to nats-server', expected: stepsGoOn },
  {
    id: 'log-tail-lost',
    fault: 'the log lost its tail (cut the stream’s last block file by a tenth)',
    expected:
      'noticed by every reader; agents and coordinator append again what they wrote; no consumer starves; the iteration closes',
  },
  {
    id: 'log-disk-lost',
    fault: 'the log’s disk is lost',
    expected:
      '`ka log restore` rebuilds the log from the hosts’ journals under a new epoch, says what it could not rebuild; old-epoch requests are refused',
  },
  {
    id: 'nats-disk-full',
    fault: 'NATS disk full',
    expected: 'a bounded error that says so; recovers when there is room',
  },
  {
    id: 'consumer-deleted',
    fault: 'a durable consumer deleted',
    expected: 'created again at the host’s own position',
  },
  { id: 'builder-offline', fault: 'boltzmann offline past its grace', expected: fermiBuilds },
  { id: 'builder-dies', fault: 'the build host dies during the build', expected: fermiBuilds },
  {
    id: 'transfer-damaged',
    fault: 'transfer cut or a byte flipped',
    expected: 'resumed or refused by hash; never a partial file under its final name',
  },
  {
    id: 'download-stalls',
    fault: 'the repository download stalls (accepts, sends a little, stops)',
    expected: 'noticed in seconds, resumed, then LAN copy over SSH; both paths in the evidence',
  },
  {
    id: 'signing-key',
    fault: 'signing key missing, expired, wrong',
    expected: 'found before the build starts and again before signing; the repository is unchanged',
  },
  {
    id: 'publisher-killed',
    fault: 'publisher killed at any point of publish, while a client polls each millisecond',
    expected: 'the client sees the old or the new view, each complete and signed',
  },
  {
    id: 'pacman-killed',
    fault: 'SIGKILL to pacman, and to the agent, at 50 points spread over an upgrade',
    expected: 'repaired as in facts.md; every file of the package checked; old or new, never half',
  },
  {
    id: 'reboot-cut',
    fault: 'cut during initramfs, and around the reboot',
    expected: 'old or new, verified; a boot counts once; no reboot loop',
  },
  {
    id: 'sweep-fails',
    fault: 'the new kernel comes up and the sweep fails',
    expected: 'rollback, reason recorded',
  },
  {
    id: 'no-network',
    fault: 'the new kernel comes up without network',
    expected: 'the board’s own deadline rolls back without asking anybody, and reports when it can',
  },
  { id: 'board-fell-back', fault: 'the board comes back on the old kernel', expected: classified },
  { id: 'board-lost', fault: 'the board does not come back at all', expected: classified },
  {
    id: 'rollback-fails',
    fault: 'rollback fails as well',
    expected: 'stops after a fixed number of tries, the board stays reachable, says what to do by hand',
  },
  {
    id: 'disk-full',
    fault: 'disk full on builder, publisher, board, or the journal’s disk',
    expected: 'refused before the effect where it can be known; otherwise no half state',
  },
  {
    id: 'clock-wrong',
    fault: 'clock wrong by years in either direction',
    expected: 'order and decisions unchanged',
  },
  {
    id: 'journal-damaged',
    fault: 'the journal is corrupt, missing, or an old copy',
    expected:
      'noticed (against the log); rebuilt from the log where that is safe, otherwise the host stops and says so',
  },
  { id: 'two-agents', fault: 'two agents with one identity', expected: 'the older one stops' },
  {
    id: 'request-repeated',
    fault: 'a request delivered a hundred times, or out of order',
    expected: 'one effect',
  },
  {
    id: 'killed-anywhere',
    fault:
      'SIGKILL at every failpoint of every step, of the runtime and of the coordinator, with its children and without',
    expected:
      'the iteration closes; each effect happened once, counted in the world; each outcome is in the log once',
  },
  {
    id: 'simulation',
    fault:
      'crashes, duplicates, reordering, delays, offline hosts and superseded attempts in 3,000 schedules of the simulation',
    expected:
      'an effect at most once past its probe, no outcome lost, never two open attempts of one step, an iteration always ends or waits for a named person or host',
  },
] as const satisfies readonly Fault[];

export const faults = tableOfFaults(faultTable);

export type FaultId = (typeof faultTable)[number]['id'];
