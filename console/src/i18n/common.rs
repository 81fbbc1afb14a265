//! 各页共用的文案：按钮、状态、错误、时间范围。
//!
//! Messages that more than one page shows: buttons, states of loading and failing, ranges of time. A word of
//! one page only belongs to that page's table.

crate::messages! {
    save: "Save", "保存";
    cancel: "Cancel", "取消";
    close: "Close", "关闭";
    create: "Create", "创建";
    edit: "Edit", "编辑";
    delete: "Delete", "删除";
    retry: "Try again", "重试";
    refresh: "Refresh", "刷新";
    copy: "Copy", "复制";
    copied: "Copied", "已复制";
    copy_failed: "Could not copy; select the text and copy it by hand", "复制失败，请手动选中文本复制";
    more: "More actions", "更多操作";
    search: "Search", "搜索";
    clear: "Clear", "清除";
    remove(what: &str): "Remove {what}", "移除 {what}";
    show_secret: "Show", "显示";
    hide_secret: "Hide", "隐藏";
    loading: "Loading…", "加载中…";
    none: "None", "无";
    any: "Any", "任意";
    all: "All", "全部";
    unlimited: "unlimited", "不限";
    yes: "Yes", "是";
    no: "No", "否";
    optional: "optional", "可选";
    enabled: "Enabled", "已启用";
    disabled: "Disabled", "已停用";
    showing(count: &str): "{count} shown", "已显示 {count} 条";
    load_more: "Load more", "加载更多";
    sort_by(column: &str): "Sort by {column}", "按{column}排序";
    as_table: "Show as table", "以表格显示";
    type_to_confirm(name: &str): "Type {name} to confirm", "输入 {name} 以确认";
    name_differs: "That is not the name", "名称不一致";
    time: "Time", "时间";
    sum: "Total", "合计";
    no_data: "No data in this range", "该时间段内没有数据";

    failed_offline: "The gateway cannot be reached", "无法连接网关";
    failed_offline_hint: "Check the connection. This page tries again by itself.", "请检查网络连接，恢复后页面会自动重试。";
    failed_expired: "Your session has ended", "会话已过期";
    failed_forbidden: "You may not do that", "没有权限";
    failed_forbidden_hint: "A viewer may read but change nothing. Sign in with the admin token.", "只读账号不能修改。请使用管理员令牌登录。";
    failed_not_found: "Not found", "未找到";
    failed_not_found_hint: "It may have been deleted in the meantime.", "可能已被删除。";
    failed_conflict: "Somebody else changed it", "内容已被他人修改";
    failed_conflict_hint: "Load it again, then repeat your change.", "请重新加载后再修改。";
    failed_invalid: "The gateway refused the input", "输入未通过校验";
    failed_busy: "Too many attempts", "尝试次数过多";
    failed_server: "The gateway reported an error", "网关返回错误";
    failed_unreadable: "The answer could not be read", "无法解析网关的应答";
    request_id(id: &str): "Request {id}", "请求 {id}";

    range: "Time range", "时间范围";
    range_1h: "1h", "1 小时";
    range_24h: "24h", "24 小时";
    range_7d: "7d", "7 天";
    range_30d: "30d", "30 天";
    range_custom: "Custom", "自定义";
    range_from: "From", "开始";
    range_to: "To", "结束";
    range_apply: "Apply", "应用";
    range_backwards: "The start must come before the end", "开始时间必须早于结束时间";
    range_local: "Times are local", "按本地时间";
}
