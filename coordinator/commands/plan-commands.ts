import type { Command } from 'commander';
import { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import {
  Envelope,
  fleetEvents,
  iterationEvents,
  stepEventData,
  stepEventType,
  stepFacts,
} from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { Plan } from '../../schemas/plan.ts';
import { stepNames } from '../../schemas/step-names.ts';
import { loadPlan, PlanFaults } from '../plan/plan-file.ts';
import { Refused } from '../refused.ts';
import { type ConfigPlaces, configFile, type FleetOptions, print, printJson, say } from './options.ts';

const jsonSchemas: Record<string, () => unknown> = {
  plan: () => z.toJSONSchema(Plan, { io: 'input', unrepresentable: 'any' }),
  fleet: () => z.toJSONSchema(Fleet, { io: 'input', unrepresentable: 'any' }),
  event: () => ({
    ...z.toJSONSchema(Envelope, { unrepresentable: 'any' }),
    $defs: Object.fromEntries([
      ...Object.entries({ ...iterationEvents, ...fleetEvents }).map(([type, data]) => [
        type,
        z.toJSONSchema(data, { io: 'input', unrepresentable: 'any' }),
      ]),
      ...stepNames.flatMap((step) =>
        stepFacts.map((fact) => [
          stepEventType(step, fact),
          z.toJSONSchema(stepEventData[fact](step), { io: 'input', unrepresentable: 'any' }),
        ]),
      ),
    ]),
  }),
};

const knownFleet = (options: FleetOptions, places: ConfigPlaces): Fleet | undefined => {
  try {
    return readConfigFile(readConfigFile(configFile(options, places), OperatorConfig).fleetFile, Fleet);
  } catch (error) {
    if (options.config !== undefined || !(error instanceof Refused)) throw error;
    say('ka: no fleet is configured, so the plan’s hosts are not checked against one');
    return undefined;
  }
};

export const addPlanCommands = (program: Command, places: ConfigPlaces): void => {
  const plan = program.command('plan').description('work on a plan, without a fleet');
  plan
    .command('check')
    .description('list everything that is wrong with a plan, one fault per line: file:line:column')
    .argument('<file>', 'the plan (YAML)')
    .option('--config <file>', "the command line's config, for the fleet's hosts")
    .option('--json', 'print one JSON document')
    .action((file: string, options: FleetOptions) => {
      try {
        const { plan: checked, planSha256, series } = loadPlan(file, knownFleet(options, places));
        const patches = series.map((patch) => ({ file: patch.file, sha256: patch.sha256 }));
        if (options.json) printJson({ iteration: checked.iteration, planSha256, patches, faults: [] });
        else
          print(
            `${file}: ${checked.iteration}, ${checked.clauses.length} clauses, ${series.length} patches, nothing wrong. plan ${planSha256}`,
          );
      } catch (error) {
        if (!(error instanceof PlanFaults) || !options.json) throw error;
        printJson({ faults: error.faults });
        process.exitCode = 2;
      }
    });
  program
    .command('schema')
    .description('print a JSON Schema for editors, from the schemas that the program itself checks with')
    .argument('<what>', 'plan, fleet or event')
    .option('--json', 'the same: a schema is one JSON document')
    .action((what: string) => {
      const make = Object.hasOwn(jsonSchemas, what) ? jsonSchemas[what] : undefined;
      if (!make)
        throw new Refused(`there is no schema "${what}"; there are ${Object.keys(jsonSchemas).join(', ')}`);
      printJson(make(), 2);
    });
};
