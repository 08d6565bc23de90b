import { expect, it } from 'vitest';
import { LogLimits } from '../../schemas/log-limits.ts';
import { createMeter } from './meter.ts';

const { quota } = LogLimits.parse({
  quota: { bytesPerMinute: 1_000, messagesPerMinute: 10, bytesPerDay: 3_000, messageBytes: 900 },
});
const meterAt = () => {
  let now = 0;
  const meter = createMeter(quota, () => now);
  return {
    meter,
    wait: (seconds: number) => {
      now += seconds * 1000;
    },
  };
};

it('lets a writer add its quota at once, and no more', () => {
  const { meter, wait } = meterAt();
  expect(meter.note('fresnel', 800)).toBeUndefined();
  expect(meter.note('fresnel', 200)).toBeUndefined();
  expect(meter.note('fresnel', 1)).toMatch(/within a minute/);
  expect(meter.note('ohm', 800)).toBeUndefined();
  wait(60);
  expect(meter.note('fresnel', 800)).toBeUndefined();
});

it('counts messages, whatever their size, and looks at the size of one', () => {
  const { meter } = meterAt();
  for (let nth = 0; nth < 10; nth += 1) expect(meter.note('fresnel', 1)).toBeUndefined();
  expect(meter.note('fresnel', 1)).toBe('more than 10 messages within a minute');
  expect(meter.note('ohm', 991)).toMatch(/^one message of /);
});

it('notices who stays below the minute’s quota all day', () => {
  const { meter, wait } = meterAt();
  const said: (string | undefined)[] = [];
  for (let nth = 0; nth < 6; nth += 1) {
    said.push(meter.note('fresnel', 600));
    wait(60);
  }
  expect(said.at(-1)).toMatch(/within a day/);
  meter.forget('fresnel');
  expect(meter.note('fresnel', 600)).toBeUndefined();
});

it('lets a writer that writes to many add as much more', () => {
  const { meter } = meterAt();
  expect(meter.note('coordinator', 900, 3)).toBeUndefined();
  expect(meter.note('coordinator', 900, 3)).toBeUndefined();
  expect(meter.note('coordinator', 900, 3)).toBeUndefined();
  expect(meter.note('coordinator', 900, 3)).toBe('more than 0.0 MiB within a minute');
});
