// For each visible element its text, and the contrast of the text with its ground (WCAG 2.2, 1.4.3).
elements => {
  const parse = color => (color.match(/[\d.]+/g) || []).map(Number);
  const over = (front, back) => {
    const alpha = front.length > 3 ? front[3] : 1;
    return [0, 1, 2].map(i => front[i] * alpha + back[i] * (1 - alpha));
  };
  const luminance = color => {
    const [r, g, b] = color.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parents = element => {
    const found = [];
    for (let node = element; node; node = node.parentElement) found.push(getComputedStyle(node));
    return found;
  };
  return elements.filter(element => element.innerText && element.offsetParent).map(element => {
    const styles = parents(element);
    const ground = styles.map(style => parse(style.backgroundColor)).filter(color => color.length > 2)
      .reverse().reduce((back, front) => over(front, back), [255, 255, 255]);
    const color = parse(styles[0].color);
    const opacity = styles.reduce((product, style) => product * Number(style.opacity), color.length > 3 ? color[3] : 1);
    const [light, dark] = [luminance(over([...color.slice(0, 3), opacity], ground)), luminance(ground)].sort((a, b) => b - a);
    return [element.innerText.slice(0, 40), (light + .05) / (dark + .05)];
  });
}
