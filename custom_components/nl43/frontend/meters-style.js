// How the meters card looks: a rack of displays, each as on the live card.

export const STYLE = `
:host { display: block; container-type: inline-size; }
.rack { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 12px; }
.module { container-type: inline-size; border-radius: var(--ha-card-border-radius, 12px); }
a { display: flex; flex-direction: column; box-sizing: border-box; height: 100%; padding: 14px 18px 12px; border-radius: inherit; text-decoration: none; background: linear-gradient(#132023, #0c1416); color: #e6f1f0; box-shadow: inset 0 0 0 1px rgb(255 255 255 / 8%), inset 0 1px 0 rgb(255 255 255 / 10%), 0 1px 3px rgb(0 0 0 / 30%); font-variant-numeric: tabular-nums; -webkit-tap-highlight-color: transparent; }
a:hover { background: linear-gradient(#172629, #0f191c); }
a:focus-visible { outline: 2px solid #6fd3c6; outline-offset: 2px; }
.exceeded a { box-shadow: inset 0 0 0 2px #e5484d, 0 0 18px rgb(229 72 77 / 35%); }
.overload a { box-shadow: inset 0 0 0 2px #e5484d; }
.trouble a { box-shadow: inset 0 0 0 2px #f5a623; }
.top { display: flex; align-items: center; gap: 10px; min-width: 0; }
.lamp { flex: none; width: 10px; height: 10px; border-radius: 50%; background: #5d6d6c; }
.measuring .lamp { background: #e5484d; box-shadow: 0 0 8px #e5484d; animation: pulse 2s ease-in-out infinite; }
.paused .lamp { background: #f5a623; border-radius: 2px; }
@keyframes pulse { 50% { opacity: .35; } }
.name { flex: 1; min-width: 0; font-size: clamp(16px, 3.4cqw, 22px); font-weight: 500; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.run { flex: none; color: #9fb6b4; font-size: 14px; }
.where { margin: 1px 0 0 20px; min-height: 20px; line-height: 20px; font-size: 13px; color: #8aa19f; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.reading { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; margin-top: 4px; line-height: 1; }
.symbol { font-size: clamp(18px, 6cqw, 32px); color: #9fb6b4; }
sub { font-size: .68em; line-height: 0; }
.value { font-size: clamp(56px, 21cqw, 128px); font-weight: 300; letter-spacing: -.02em; }
.unit { margin-left: 10px; font-size: clamp(16px, 5cqw, 28px); color: #9fb6b4; }
.bar { position: relative; height: 10px; margin: 12px 0 3px; border-radius: 3px; overflow: hidden; background: repeating-linear-gradient(90deg, rgb(255 255 255 / 9%) 0 calc(1% - 1px), transparent calc(1% - 1px) 1%); }
.fill { position: absolute; inset: 0; background: linear-gradient(90deg, #35b7a6, #7ccf7a 55%, #e8c547 75%, #e5484d 92%); clip-path: inset(0 calc(100% - var(--part, 0) * 100%) 0 0); transition: clip-path .6s ease-out; }
.scale { display: flex; justify-content: space-between; font-size: 11px; color: #7f9694; }
.values { display: grid; grid-template-columns: repeat(4, 1fr); margin: 8px 0 0; }
.values dt { font-size: 13px; color: #9fb6b4; white-space: nowrap; }
.values dd { margin: 0; font-size: clamp(18px, 5cqw, 26px); }
.flag { display: none; margin-top: 8px; padding: 5px 10px; border-radius: 6px; font-weight: 500; text-align: center; color: #fff; background: #e5484d; }
.flag.on { display: block; }
.flag.strong { font-weight: 700; letter-spacing: .04em; }
.flag.warn { background: #f5a623; color: #221500; }
.foot { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 14px; margin-top: auto; padding-top: 10px; font-size: 13px; color: #9fb6b4; }
.foot span:empty { display: none; }
.foot .count { color: #e6f1f0; }
.old .reading, .old .bar, .old .scale, .old .values { filter: grayscale(1) brightness(.6); }
@container (max-width: 320px) { a { padding-inline: 12px; } .values dd { font-size: 17px; } }
.empty { padding: 16px; }
@media (prefers-reduced-motion: reduce) { .lamp { animation: none !important; } .fill { transition: none; } }
`;
