"""Charts of tables. Pure. Streamlit gives them the colours of light and dark."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

UP, DOWN = "#1a7f5a", "#c0392b"
COLOURS = ["#2f7ed8", "#d9730d", "#1a7f5a", "#a64ac9", "#c0392b", "#7a8b00", "#0f8b8d", "#b5507b"]
"""Each has a contrast of three to one or more with white and with Streamlit's dark ground."""
HEIGHT = 380
INVENTED = "simulated"


def titled(title: str, simulated: bool) -> str:
    """A title that says if numbers were invented."""
    return f"{title} ({INVENTED})" if simulated else title


def candles(found: pd.DataFrame, title: str, zone: str) -> go.Figure:
    """Candles of one symbol over their volume."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.04
    )
    figure.add_trace(
        go.Candlestick(
            x=found["at"],
            open=found["open"],
            high=found["high"],
            low=found["low"],
            close=found["close"],
            increasing_line_color=UP,
            decreasing_line_color=DOWN,
            name="price",
        ),
        row=1,
        col=1,
    )
    figure.add_trace(
        go.Bar(x=found["at"], y=found["volume"], marker_color=COLOURS[0], name="volume"),
        row=2,
        col=1,
    )
    currency = found["currency"].iloc[-1] if len(found) else ""
    figure.update_yaxes(title_text=f"price, {currency}", row=1, col=1)
    figure.update_yaxes(title_text="volume", row=2, col=1)
    figure.update_xaxes(title_text=zone, row=2, col=1)
    return _laid_out(figure, title, legend=False).update_layout(
        xaxis_rangeslider_visible=False, height=HEIGHT + 100
    )


def lines(
    found: pd.DataFrame, value: str, by: Sequence[str], title: str, unit: str, zone: str
) -> go.Figure:
    """A line for each group of rows."""
    figure = go.Figure()
    for number, (key, rows) in enumerate(found.groupby(list(by), sort=True)):
        # A single observation would be an invisible line.
        figure.add_trace(
            go.Scatter(
                x=rows["at"],
                y=rows[value],
                name=" ".join(str(part) for part in key),
                mode="lines+markers" if len(rows) < 3 else "lines",
                line={"color": COLOURS[number % len(COLOURS)]},
            )
        )
    figure.update_yaxes(title_text=unit)
    figure.update_xaxes(title_text=zone)
    return _laid_out(figure, title)


def bars(found: pd.DataFrame, label: str, value: str, title: str, unit: str) -> go.Figure:
    """A bar for each row."""
    figure = go.Figure(
        go.Bar(y=found[label], x=found[value], orientation="h", marker_color=COLOURS[0])
    )
    scale = {"range": [0, 100]} if unit == "%" else {"rangemode": "tozero"}
    figure.update_xaxes(title_text=unit, **scale)
    figure.update_yaxes(autorange="reversed")
    return _laid_out(figure, title, legend=False)


def _laid_out(figure: go.Figure, title: str, *, legend: bool = True) -> go.Figure:
    return figure.update_layout(
        title={"text": title},
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "top", "y": -0.2},
    )
