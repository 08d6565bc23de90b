import { setTimeout as sleep } from 'node:timers/promises';
import { approveIteration, startIteration } from '../../coordinator/commands/iteration-commands.ts';
import { print, say } from '../../coordinator/commands/options.ts';
import { ledger } from '../../coordinator/commands/proof-commands.ts';
import { openSession } from '../../coordinator/commands/session.ts';
import { reviewOf } from '../../coordinator/decider/graph.ts';
import { evidenceOf, type Iteration } from '../../coordinator/decider/state.ts';
import { judgeSweep } from '../../coordinator/decider/sweep-judgement.ts';
import { auditOf } from '../../coordinator/reading/audit.ts';
import { closeDocument } from '../../coordinator/reading/close-document.ts';
import { watchIteration } from '../../coordinator/reading/watch.ts';
import { Refused } from '../../coordinator/refused.ts';
import { printableLines } from '../../schemas/printable.ts';

const tries = 5;
const againAfterMs = 2_000;

/** The log's server may be away for a moment: a person would try again. A refusal is final. */
const untilTaken = async (approve: () => Promise<void>): Promise<void> => {
  for (let tried = 1; ; tried += 1)
    try {
      return await approve();
    } catch (error) {
      if (error instanceof Refused || tried >= tries) throw error;
      await sleep(againAfterMs);
    }
};

/**
 * Approves with the key of each person whom the plan asks, once there is something to review. A real plan waits for
 * real people.
 */
const approveAll = (configFile: string) => {
  const asked = new Set<string>();
  return (iteration: Iteration) => {
    if (iteration.ended) return;
    for (const person of reviewOf(iteration)?.missing ?? []) {
      if (asked.has(person)) continue;
      asked.add(person);
      const note = 'approved by the demo in their name: read the series before you do this';
      const approve = async () => {
        const session = await openSession(configFile, person);
        try {
          await approveIteration(session, iteration.name, note);
        } finally {
          await session.close();
        }
      };
      void untilTaken(approve).catch((error: unknown) =>
        say(`ka: ${error instanceof Error ? error.message : error}`),
      );
    }
  };
};

const sweepCounts = (iteration: Iteration, step: 'presweep' | 'sweep') => {
  const swept = evidenceOf(iteration, step)?.evidence;
  if (!swept) return null;
  const { passed, total } = judgeSweep(iteration.plan.sweep, swept);
  return { passed, total };
};

/** Carries one plan through a running fleet, from its start to its end. */
const carry = async (configFile: string, planFile: string, out: NodeJS.WriteStream) => {
  const session = await openSession(configFile);
  try {
    const started = Date.now();
    const name = await startIteration(session, planFile);
    const { iteration } = await watchIteration(session, name, out, approveAll(configFile));
    const { events } = await session.read();
    const audit = auditOf(iteration, events);
    return {
      iteration,
      audit,
      summary: {
        iteration: name,
        status: audit.status,
        clauses: audit.clauses.map(({ id, verdict, events: seen }) => ({ id, verdict, events: seen })),
        sweep: { before: sweepCounts(iteration, 'presweep'), after: sweepCounts(iteration, 'sweep') },
        lastSequence: events.at(-1)?.sequence ?? 0,
        seconds: Math.round((Date.now() - started) / 100) / 10,
      },
    };
  } finally {
    await session.close();
  }
};
export type Carried = Awaited<ReturnType<typeof carry>>;

const counted = (counts: { passed: number; total: number } | null) =>
  counts ? `${counts.passed}/${counts.total}` : 'not swept';

/**
 * Carries plans through a running fleet, one after the other, as long as they close. Everybody who is asked for a
 * review approves. Prints the ledger and close document of each, unless JSON is asked for.
 * @throws {PlanFaults | Refused} if a plan can't be started.
 */
export const carryPlans = async (
  configFile: string,
  plans: readonly string[],
  { json = false }: { json?: boolean | undefined },
): Promise<Carried[]> => {
  const all: Carried[] = [];
  for (const plan of plans) {
    const carried = await carry(configFile, plan, json ? process.stderr : process.stdout);
    all.push(carried);
    const { summary, audit, iteration } = carried;
    if (!json) {
      print(`\nsweep: ${counted(summary.sweep.before)} before, ${counted(summary.sweep.after)} after\n`);
      print(ledger(audit));
      print(`\n${printableLines(closeDocument(iteration))}`);
    }
    if (summary.status !== 'closed') break;
  }
  return all;
};

/** The one JSON document about plans that were carried. */
export const documentOf = <Summary>(summaries: readonly Summary[]) =>
  summaries.length === 1 ? summaries[0] : { ...summaries.at(-1), iterations: summaries };
