import type { UBootConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { BootLoader, BootLoaderParts } from './boot-loader.ts';
import { createHeldKernel } from './held-kernel.ts';
import { bootLineFault, createUBootEnvironment, trialBootLine } from './u-boot-environment.ts';

/**
 * U-Boot with extlinux.conf: a variable of its environment names the label of the next boot. U-Boot clears it before it
 * boots that label, so the boot after that, whatever causes it, boots DEFAULT. An environment that was lost during a
 * write has no such variable, so DEFAULT boots then, too.
 */
export const createUBoot = (parts: BootLoaderParts, config: UBootConfig): BootLoader => {
  const { variable, label, configFile } = config;
  const kernel = createHeldKernel(parts, config);
  const environment = createUBootEnvironment(parts.run, config);

  const requireBootLine = async () => {
    const fault = bootLineFault(await environment.readBoot(), variable);
    if (fault !== undefined)
      throw new StepFailed(
        'host',
        `U-Boot's environment can't try a kernel once: ${fault}; set bootcmd to: ${trialBootLine(variable)}`,
      );
  };
  const isSet = async () => (await environment.read()).get(variable) === label;
  const cancelTry = async () => {
    if ((await environment.read()).has(variable)) await environment.set(variable);
  };
  return {
    triesOnce: true,
    configFile,
    requireReady: async () => {
      await requireBootLine();
      return kernel.needs();
    },
    requireSettled: kernel.requireSettled,
    hold: kernel.hold,
    isHeld: kernel.isHeld,
    requireHeld: async () => {
      await kernel.requireHeld();
      if (!(await kernel.isHeld())) throw kernel.rewritten();
    },
    tryOnce: async () => {
      await requireBootLine();
      await kernel.flushed(); // the kernel on trial was written after the last flush
      await environment.set(variable, label);
    },
    isTrying: isSet,
    cancelTry,
    booted: async () => undefined,
    // A trial that is left over would boot the same label as DEFAULT does then.
    settle: kernel.settle,
    isSettled: kernel.isSettled,
    flushed: kernel.flushed,
  };
};
