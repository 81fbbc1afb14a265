//! CSV：RFC 4180 的引号，公式无害。
//!
//! Owns how a table becomes CSV: CRLF after each line, quotes where a cell needs them, and an apostrophe before
//! a cell that a spreadsheet would take for a formula. Knows no table.
//!
//! Invariant: a line that is written has the cells that were given, whatever they contain.

/// What a spreadsheet may take for the beginning of a formula, or skip to find one.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Appends one line.
pub fn push_line<'a>(csv: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            csv.push(',');
        }
        push_cell(csv, cell);
    }
    csv.push_str("\r\n");
}

fn push_cell(csv: &mut String, cell: &str) {
    let mark = if cell.starts_with(FORMULA_STARTS) {
        "'"
    } else {
        ""
    };
    if cell.contains(['"', ',', '\r', '\n']) {
        csv.push('"');
        csv.push_str(mark);
        csv.push_str(&cell.replace('"', "\"\""));
        csv.push('"');
    } else {
        csv.push_str(mark);
        csv.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(cells: &[&str]) -> String {
        let mut csv = String::new();
        push_line(&mut csv, cells.iter().copied());
        csv
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(line(&["a", "", "b c", "字"]), "a,,b c,字\r\n");
        assert_eq!(
            line(&["a,b", "say \"x\"", "two\nlines"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n"
        );
    }

    #[test]
    fn formulas_become_texts() {
        assert_eq!(
            line(&[
                "=1+1", "+1", "-1", "@sum", "\ta", "\ra", "=\"a\",b", "a=b", "2-1"
            ]),
            "'=1+1,'+1,'-1,'@sum,'\ta,\"'\ra\",\"'=\"\"a\"\",b\",a=b,2-1\r\n"
        );
    }

    /// Reads one line as RFC 4180 says.
    fn read(text: &str) -> Vec<String> {
        let body = text.strip_suffix("\r\n").unwrap();
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let mut characters = body.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    cell.push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                other => cell.push(other),
            }
        }
        cells.push(cell);
        cells
    }

    proptest! {
        #[test]
        fn any_cells_read_back_and_none_begins_like_a_formula(cells in proptest::collection::vec("[=+@\\-\t\r\n,\"a字 ]{0,6}", 1..6)) {
            let refs: Vec<&str> = cells.iter().map(String::as_str).collect();
            let back = read(&line(&refs));
            prop_assert_eq!(back.len(), cells.len());
            for (written, cell) in back.iter().zip(&cells) {
                prop_assert!(!written.starts_with(FORMULA_STARTS));
                let bare = written.strip_prefix('\'').unwrap_or(written);
                prop_assert_eq!(bare, cell.as_str());
            }
        }
    }
}
