import { resolve } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import {
  type ConfigPlaces,
  configFile,
  type FleetOptions,
  print,
  printJson,
} from '../../coordinator/commands/options.ts';
import { openSession, type Session } from '../../coordinator/commands/session.ts';
import { excessRights } from '../../eventlog/connection/permission-probe.ts';
import { lastKeeping } from '../../eventlog/live/keeping.ts';
import { isPresent, lastPresences, silenceOf } from '../../eventlog/live/presence.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import { printable } from '../../schemas/printable.ts';
import { confinementFindings } from '../doctor/confinement-findings.ts';
import { type Finding, fine, wrong } from '../doctor/finding.ts';
import { keyFindings } from '../doctor/key-findings.ts';
import { localConfigs } from '../doctor/local-configs.ts';
import { loginFindings } from '../doctor/login-findings.ts';
import { secretFindings } from '../doctor/secret-findings.ts';
import { serverFindings } from '../doctor/server-findings.ts';
import { loggedSigningFindings, signingFindings } from '../doctor/signing-findings.ts';
import { installCommand, missingPrograms } from '../programs.ts';

const machineFindings = (): Finding[] => {
  const missing = missingPrograms(['all']);
  const forLinux = missingPrograms(['linux']);
  return [
    {
      what: 'programs of the sandbox fleet',
      fine: missing.length === 0,
      found:
        missing.length === 0 ? 'all there' : `missing: ${missing.map(({ program }) => program).join(', ')}`,
      mend:
        missing.length === 0
          ? ''
          : `${installCommand(missing, 'debian')} (Debian) or ${installCommand(missing, 'arch')} (Arch)`,
    },
    {
      what: 'programs of `demo --kernel linux`',
      fine: forLinux.length === 0,
      found:
        forLinux.length === 0 ? 'all there' : `missing: ${forLinux.map(({ program }) => program).join(', ')}`,
      mend: forLinux.length === 0 ? '' : installCommand(forLinux, 'debian'),
    },
  ];
};

/** The command line's config, or why there is none. */
const controlConfig = (options: FleetOptions, places: ConfigPlaces): { file: string } | { none: string } => {
  try {
    return { file: configFile(options, places) };
  } catch (error) {
    return { none: error instanceof Error ? error.message : String(error) };
  }
};

const tamperedMend =
  "give this machine the fleet's present file; if it is, the log's server shows what the host has not said";

/** What the keeper of the log says, where the fleet has one. */
const keeperFindings = async ({ connection, fleet }: Session): Promise<Finding[]> => {
  const last = await lastKeeping(connection, fleet);
  if (!last) return [fine('keeper of the log', 'the fleet has none: nobody watches who floods it')];
  if (last.doubt !== undefined)
    return [
      wrong('keeper of the log', last.doubt, 'on the log’s server: systemctl status kernel-agent-keeper'),
    ];
  return last.silenced.length === 0
    ? [fine('keeper of the log', 'nobody floods the log')]
    : last.silenced.map(({ writer, since, why }) =>
        wrong(
          'keeper of the log',
          `${writer} has added ${why}, and may not publish since ${since}`,
          `find out why, then on the log’s server: ka fleet readmit ${writer}`,
        ),
      );
};

const fleetFindings = async (file: string, cacheFolder: string | undefined): Promise<Finding[]> => {
  try {
    const session = await openSession(file, undefined, cacheFolder);
    try {
      const names = Object.keys(session.fleet.hosts);
      const { seen, refused } = await lastPresences(session.connection, trustNow(session.fleet), names);
      const excess = await excessRights(session.connection, session.fleet.fleet);
      const { events } = await session.read();
      return [
        excess.length === 0
          ? fine('permissions at nats-server', 'each writer has its own')
          : wrong(
              'permissions at nats-server',
              `this login may ${excess.join(', ')}`,
              'start nats-server with the config that ka fleet nats-config prints',
            ),
        ...(await keeperFindings(session)),
        fine('event log', `${events.length} events`),
        ...loggedSigningFindings(events),
        ...names.map((host): Finding => {
          const last = seen.get(host);
          const silence = last && silenceOf(last);
          const silent = silence?.silentSeconds;
          const isThere =
            silence?.doubt === undefined && isPresent(silent, session.fleet.hosts[host]?.graceSeconds ?? 0);
          const forged = refused.find((one) => one.host === host);
          if (forged) return wrong(host, `its presence is not its own: ${forged.why}`, tamperedMend);
          if (silence?.doubt) return wrong(host, silence.doubt, `set the clock of ${host}`);
          if (isThere && last?.trouble)
            return { what: host, fine: false, found: last.trouble, mend: 'see docs/when-things-go-wrong.md' };
          return {
            what: host,
            fine: isThere,
            found: silent === undefined ? 'was never seen' : `last seen ${silent} s ago`,
            mend: isThere
              ? ''
              : `on ${host}: systemctl status kernel-agent; in the sandbox: ka down, then ka up`,
          };
        }),
      ];
    } finally {
      await session.close();
    }
  } catch (error) {
    return [
      wrong(
        'event log',
        error instanceof Error ? error.message : String(error),
        'start nats-server, or the sandbox with: ka up',
      ),
    ];
  }
};

export const addDoctorCommand = (program: Command, places: ConfigPlaces): void => {
  program
    .command('doctor')
    .description(
      'show what is missing on this machine and in this fleet, and how to mend it; exit code 1 if anything is',
    )
    .option('--config <file>', "the command line's config")
    .option('--json', 'print one JSON document')
    .action(async (options: FleetOptions) => {
      const control = controlConfig(options, places);
      const configs = localConfigs('file' in control ? control.file : undefined);
      const own = configs.find(({ file }) => 'file' in control && file === resolve(control.file));
      const findings = [
        ...machineFindings(),
        ...(await confinementFindings(configs)),
        ...keyFindings(configs),
        ...secretFindings(configs),
        ...loginFindings(),
        ...(await signingFindings(configs)),
        ...(own ? await serverFindings(own.nats) : []),
        ...('file' in control
          ? await fleetFindings(control.file, places.cacheFolder)
          : [fine('fleet', control.none)]),
      ];
      if (options.json) printJson({ findings });
      else
        for (const { what, fine, found, mend } of findings) {
          print(`${fine ? pc.green('ok') : pc.red('!!')}  ${printable(`${what}: ${found}`)}`);
          if (mend) print(`    ${mend}`);
        }
      if (findings.some(({ fine }) => !fine)) process.exitCode = 1;
    });
};
