// What is made of the samples: medians, minima and ratios, as a table.

/** Takes samples of several subjects in turn, so that a change of the machine's mood meets all of them. */
export async function alternate(rounds, subjects) {
  const samples = subjects.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      await subject.reset();
      samples[i].push(await subject.run());
    }
  }
  return subjects.map(({ name }, i) => ({ name, ...summarise(samples[i]) }));
}

function summarise(samples) {
  const wall = samples.map((sample) => sample.wall);
  return { wall: median(wall), best: Math.min(...wall), cpu: median(samples.map((sample) => sample.cpu)) };
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Prints subjects, the first of which is 1. */
export function printTable(title, figures) {
  const [yardstick] = figures;
  console.log(`\n${title}`);
  console.log(
    `  ${'median s'.padStart(42)}${'min s'.padStart(9)}${'CPU s'.padStart(9)}   ratio: median, min, CPU`,
  );
  for (const { name, wall, best, cpu } of figures) {
    const seconds = [wall, best, cpu].map((value) => value.toFixed(3).padStart(9)).join('');
    const ratios = [wall / yardstick.wall, best / yardstick.best, cpu / yardstick.cpu];
    console.log(
      `  ${name.padEnd(33)}${seconds}   ${ratios.map((ratio) => ratio.toFixed(2).padStart(6)).join('')}`,
    );
  }
}
