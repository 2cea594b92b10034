"""What Greenlight knows and does. Runs without Streamlit and without HTTP."""
