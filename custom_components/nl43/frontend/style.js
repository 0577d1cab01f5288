// How the live card looks: a display as on the meter, in a card as the theme has it.

export const STYLE = `
:host { display: block; height: 100%; }
ha-card { height: 100%; box-sizing: border-box; overflow: hidden; container-type: inline-size; display: flex; flex-direction: column; }
.top { display: flex; align-items: center; gap: 12px; padding: 12px 16px 10px; }
.name { flex: 1; min-width: 0; font-size: var(--ha-font-size-l, 16px); font-weight: 500; color: var(--primary-text-color); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.state { display: flex; align-items: center; gap: 8px; color: var(--secondary-text-color); font-variant-numeric: tabular-nums; white-space: nowrap; }
.dot { width: 10px; height: 10px; border-radius: 50%; background: var(--disabled-color, #8a8a8a); }
.measuring .dot { background: #e5484d; animation: pulse 2s ease-in-out infinite; }
.paused .dot { background: #f5a623; border-radius: 2px; }
@keyframes pulse { 50% { opacity: .35; } }
.display { flex: 1; display: flex; flex-direction: column; margin: 0 12px; padding: 14px 16px 10px; border-radius: 10px; background: #0f1719; color: #e6f1f0; box-shadow: inset 0 0 0 1px rgb(255 255 255 / 7%), inset 0 2px 12px rgb(0 0 0 / 55%); font-variant-numeric: tabular-nums; transition: filter .3s; }
.display.old { filter: grayscale(1) brightness(.62); }
.main { display: grid; grid-template-columns: auto 1fr; align-items: baseline; column-gap: 16px; }
.symbol { font-size: clamp(18px, 6cqw, 30px); color: #9fb6b4; }
sub { font-size: .68em; line-height: 0; }
.big { justify-self: end; display: flex; align-items: baseline; gap: 10px; line-height: 1; }
.value { font-size: clamp(52px, 21cqw, 132px); font-weight: 300; letter-spacing: -.02em; min-width: 4ch; text-align: right; }
.unit { font-size: clamp(16px, 5cqw, 28px); color: #9fb6b4; }
.bar { position: relative; height: 12px; margin: 12px 0 4px; border-radius: 3px; background: repeating-linear-gradient(90deg, rgb(255 255 255 / 9%) 0 calc(1% - 1px), transparent calc(1% - 1px) 1%); overflow: hidden; }
.fill { position: absolute; inset: 0; background: linear-gradient(90deg, #35b7a6, #7ccf7a 55%, #e8c547 75%, #e5484d 92%); clip-path: inset(0 calc(100% - var(--part, 0) * 100%) 0 0); transition: clip-path .25s linear; }
.mark { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #ffd166; }
.scale { display: flex; justify-content: space-between; font-size: 11px; color: #7f9694; }
.flags { display: flex; gap: 8px; min-height: 30px; margin: 8px 0 4px; }
.flag { flex: 1; display: none; align-items: center; justify-content: center; border-radius: 6px; font-weight: 700; letter-spacing: .04em; background: #e5484d; color: #fff; padding: 4px 8px; text-align: center; }
.flag.under { background: #f5a623; color: #221500; }
.flag.limit { background: transparent; color: #ff8a8d; box-shadow: inset 0 0 0 1.5px #e5484d; font-weight: 500; letter-spacing: 0; }
.flag.on { display: flex; }
.levels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1px; margin: 6px -4px 4px; }
.quantity { padding: 6px 4px; }
.quantity dt { font-size: 13px; color: #9fb6b4; white-space: nowrap; }
.quantity dd { margin: 1px 0 0; font-size: clamp(18px, 5.2cqw, 26px); font-weight: 400; }
.chart { position: relative; flex: 1; min-height: clamp(140px, 42cqw, 340px); margin: 6px -6px 0; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 4px; }
canvas:focus-visible, button:focus-visible { outline: 2px solid #6fd3c6; outline-offset: 1px; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 14px; font-size: 12px; color: #9fb6b4; min-height: 28px; }
.legend .key::before { content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 6px; vertical-align: middle; border-radius: 2px; background: var(--color); }
.ranges { margin-left: auto; display: flex; gap: 2px; }
.ranges button { border: 0; border-radius: 4px; padding: 4px 8px; background: none; color: inherit; font: inherit; cursor: pointer; min-height: 28px; }
.ranges button[aria-pressed="true"] { background: rgb(255 255 255 / 12%); color: #e6f1f0; }
.note { display: none; margin: 10px 16px 0; padding: 8px 12px; border-radius: 8px; color: var(--primary-text-color); background: color-mix(in srgb, var(--warning-color, #ffa600) 18%, transparent); }
.note.on { display: block; }
.note.bad { background: color-mix(in srgb, var(--error-color, #db4437) 18%, transparent); }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding: 10px 12px 12px; }
.controls button { border: 0; border-radius: 8px; min-height: 40px; padding: 0 16px; font: inherit; font-weight: 500; cursor: pointer; color: var(--primary-text-color); background: color-mix(in srgb, var(--primary-text-color) 9%, transparent); }
.controls button.go { background: var(--primary-color); color: var(--text-primary-color, #fff); }
.controls button.stop { background: var(--error-color, #db4437); color: #fff; }
.controls button[disabled] { opacity: .45; cursor: default; }
.controls .question { flex: 1 1 180px; color: var(--primary-text-color); }
[hidden] { display: none !important; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.gap { height: 12px; }
@container (min-width: 700px) {
  .screen { display: grid; grid-template-columns: minmax(300px, 5fr) 7fr; column-gap: 28px; flex: 1; }
  .chart { min-height: 260px; }
  .value { font-size: clamp(52px, 11cqw, 150px); }
  .symbol { font-size: clamp(18px, 2.6cqw, 34px); }
  .unit { font-size: clamp(16px, 2.2cqw, 30px); }
  .quantity dd { font-size: clamp(18px, 2.1cqw, 28px); }
}
@media (prefers-reduced-motion: reduce) { .measuring .dot { animation: none; } .fill, .display { transition: none; } }
`;
