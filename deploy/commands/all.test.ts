import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addCommands, commandFiles, headings } from './all.ts';

const namesOf = (program: Command) =>
  program
    .createHelp()
    .visibleCommands(program)
    .map((command) => command.name());

describe('the commands', () => {
  it('are each under one heading of the help', async () => {
    const program = new Command('ka');
    await addCommands(program, []);
    expect(namesOf(program).sort()).toEqual(Object.values(headings).flat().sort());
    const shown = program
      .helpInformation()
      .split('\n')
      .filter((line) => /^[A-Z].*:$/.test(line));
    expect(shown).toEqual(['Options:', ...Object.keys(headings)]);
  });

  it.each(commandFiles.flatMap(({ names }) => names))(
    '%s is in the file that is loaded for it',
    async (name) => {
      const program = new Command('ka');
      await addCommands(program, [name]);
      const file = commandFiles.find(({ names }) => names.includes(name));
      expect(namesOf(program)).toEqual([...(file?.names ?? []), 'help']);
    },
  );
});
