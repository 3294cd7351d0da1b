//! Functions that are asked once for each row of another table.

use serde_json::{Map, Value as Json};

use super::given::object;
use super::keys::PARENT;
use super::template::Values;
use crate::ground::quoted;
use crate::providers::conversation::Query;
use crate::providers::kind::Expression;
use crate::store::quote_name;

/// The table whose rows give parameters their values.
#[derive(Debug, Clone)]
pub struct Parent {
    table: String,
    /// Parameter and column.
    columns: Vec<(String, String)>,
    /// Which of its rows, as an SQL expression.
    condition: Option<String>,
}

impl Parent {
    /// # Errors
    /// `parent.<key> <problem>`.
    pub fn read(value: &Json) -> Result<Self, String> {
        let given = object("parent", value, PARENT)?;
        let text = |key: &str| given.get(key).and_then(Json::as_str).map(str::to_owned);
        let columns = given.get("columns").and_then(Json::as_object);
        let columns: Vec<_> = columns
            .into_iter()
            .flatten()
            .filter_map(|(parameter, column)| {
                Some((parameter.clone(), column.as_str()?.to_owned()))
            })
            .collect();
        if columns.is_empty() {
            return Err("parent.columns names no parameter; give it as {\"shop\":\"id\"}".into());
        }
        Ok(Self {
            table: text("entity").unwrap_or_default(),
            columns,
            condition: text("where"),
        })
    }

    /// # Errors
    /// A parameter that the function does not have.
    pub fn check(&self, parameters: &[&str]) -> Result<(), String> {
        let mut given = self.columns.iter().map(|(parameter, _)| parameter);
        match given.find(|parameter| !parameters.contains(&parameter.as_str())) {
            None => Ok(()),
            Some(stray) => Err(format!(
                "parent.columns gives the parameter {}, which parameters has not; add it there",
                quoted(stray)
            )),
        }
    }

    /// The condition, which is about columns of the table.
    pub fn expression(&self) -> Option<Expression> {
        Some(Expression {
            table: Some(self.table.clone()),
            ..Expression::new("parent.where", self.condition.as_ref()?)
        })
    }

    /// Whether the rows give a parameter its value.
    pub fn gives(&self, parameter: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == parameter)
    }

    /// Whether a call has given all of these itself: it is about one row then.
    pub fn is_given(&self, parameters: &Map<String, Json>) -> bool {
        self.columns
            .iter()
            .all(|(name, _)| parameters.contains_key(name))
    }

    /// The values that the parameters have in the rows, each once, in their order.
    pub fn query(&self, values: &Values) -> Query {
        let named = self.columns.iter().enumerate();
        let named: Vec<String> = named
            .map(|(place, (_, column))| format!("{} AS c{place}", quote_name(column)))
            .collect();
        let pairs = self.columns.iter().enumerate();
        let pairs: Vec<String> = pairs
            .map(|(place, (parameter, _))| format!("{}, c{place}", text(parameter)))
            .collect();
        let order: Vec<String> = (1..=named.len()).map(|place| place.to_string()).collect();
        let condition = self.condition.as_deref().unwrap_or("1");
        Query {
            sql: format!(
                "SELECT json_object({}) FROM (SELECT DISTINCT {} FROM {} WHERE ({condition}) ORDER BY {})",
                pairs.join(", "),
                named.join(", "),
                quote_name(&self.table),
                order.join(", ")
            ),
            declared: self.condition.iter().cloned().collect(),
            values: parameters(values),
        }
    }
}

/// The question whether an operation has anything to do.
pub fn condition(when: &str, values: &Values) -> Query {
    Query {
        sql: format!("SELECT json_object('due', ({when}) IS TRUE)"),
        declared: vec![when.to_owned()],
        values: parameters(values),
    }
}

/// The parameters of a call by their names.
fn parameters(values: &Values) -> Map<String, Json> {
    let values = values
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("param:")?.to_owned(), value.clone())));
    values.collect()
}

/// A text as SQL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
