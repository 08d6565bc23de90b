import { fleetFacts } from '../../coordinator/daemon/fleet-facts.ts';
import { attemptsOf } from '../../coordinator/decider/state.ts';
import type { LoadedPlan } from '../../coordinator/plan/plan-file.ts';
import { examplePlan } from '../../coordinator/testing/example-plan.ts';
import { approves, createHistory, type History, startOf } from '../../coordinator/testing/history.ts';
import { parseSubject, type UntypedEvent } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import { people } from '../log-server.ts';

/** The example plan as one of many: under that name, for that board. @param hosts instead of the example's. */
export const planOf = (iteration: string, board: string, hosts?: LoadedPlan['plan']['hosts']): LoadedPlan =>
  examplePlan((plan) => Object.assign(plan, { iteration, board }, hosts && { hosts }));

const openSteps = (history: History, iteration: string): StepName[] =>
  stepNames.filter((step) =>
    attemptsOf(history.iteration(iteration), step).some(({ status }) => status === 'open'),
  );

/** An iteration in which every host does its steps well, from its start to its close, as the real decider decides it. */
export const playIteration = (loaded: LoadedPlan, fleet: Fleet): History => {
  const { plan } = loaded;
  const name = plan.iteration;
  const history = createHistory();
  history.command(startOf(loaded));
  const answer = {
    do: 'Answer',
    iteration: name,
    fleet: fleetFacts(plan, fleet),
    planAgrees: true,
  } as const;
  history.decideOnce(answer);
  for (history.settle(); !history.iteration(name).ended; history.settle()) {
    const open = openSteps(history, name);
    for (const step of open) history.succeed(step, undefined, name);
    if (open.length === 0)
      for (const by of people)
        history.command({ ...approves(by), iteration: name } as ReturnType<typeof approves>);
  }
  return history;
};

/** What one writer wrote. */
export interface Written {
  writer: string;
  event: UntypedEvent;
}

/** The events of a history, without their writers' counts and signatures. */
export const writtenIn = ({ events }: History): Written[] =>
  events.map(({ event, bytes, subject }) => {
    const { type, iteration, attempt, causationid, data } = JSON.parse(new TextDecoder().decode(bytes));
    const host = parseSubject(subject)?.host;
    return {
      writer: event.source,
      event: {
        ...{ type, iteration, attempt, data },
        ...(host === undefined ? {} : { host }),
        ...(causationid === undefined ? {} : { causationid }),
      },
    };
  });

/** Names that occur nowhere else in the events. */
const [templateName, templateBoard] = ['template-iteration', 'template-board'];

/**
 * Makes iterations that are all alike but for their name and board. Decided once and renamed, each takes a hundredth of the
 * time. What names the iteration inside of an attestation or a hash stays as it is, so its clauses would not pass.
 */
export const createCopies = (fleet: Fleet): ((iteration: string, board: string) => Written[]) => {
  const aBoard = Object.values(fleet.hosts).find(({ role }) => role === 'board');
  if (!aBoard) throw new Error('the fleet has no board');
  const withTemplate = { ...fleet, hosts: { ...fleet.hosts, [templateBoard]: aBoard } };
  const text = JSON.stringify(writtenIn(playIteration(planOf(templateName, templateBoard), withTemplate)));
  return (iteration, board) =>
    JSON.parse(text.replaceAll(templateName, iteration).replaceAll(templateBoard, board)) as Written[];
};
