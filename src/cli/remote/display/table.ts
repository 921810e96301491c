import { type Color, colored } from "./terminal.js";
import { cutText, plainText, textWidth } from "./text-width.js";

/** A cell: text, and how it looks on a terminal with colours. */
export interface Cell {
  readonly text: string;
  readonly color?: Color;
}

export interface Column<Row> {
  readonly title: string;
  readonly align?: "right";
  readonly cell: (row: Row) => string | Cell;
}

export interface TableLook {
  /** Cells in a line; longer lines are cut. */
  readonly width: number;
  readonly hasColor: boolean;
}

const GAP = "  ";

/** Lines of a table with aligned columns, titles first. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, hasColor }: TableLook,
): string[] {
  const grid: Cell[][] = [
    columns.map(({ title }) => ({ text: title, color: "bold" })),
    ...rows.map((row) => columns.map(({ cell }) => cleaned(cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...grid.map((cells) => textWidth(cells[index].text))));
  return grid.map((cells) => {
    let line = "";
    let left = width;
    for (const [index, { text, color }] of cells.entries()) {
      if (left <= 0) break;
      const filling = " ".repeat(widths[index] - textWidth(text));
      const isLast = index === cells.length - 1;
      const cell = columns[index].align === "right" ? `${filling}${text}` : isLast ? text : `${text}${filling}`;
      const shown = cutText(cell, left);
      line += hasColor && color !== undefined ? colored(shown, color) : shown;
      left -= textWidth(shown);
      if (isLast || left <= 0) continue;
      const gap = GAP.slice(0, left);
      line += gap;
      left -= gap.length;
    }
    return line.trimEnd();
  });
}

function cleaned(cell: string | Cell): Cell {
  return typeof cell === "string" ? { text: plainText(cell) } : { ...cell, text: plainText(cell.text) };
}
