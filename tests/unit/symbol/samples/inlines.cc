// SPDX-License-Identifier: Apache-2.0
//
// Inlined calls, templates, overloads, constructors, lambdas and namespaces, for test_addr2line.py.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace outer {
inline namespace v1 {

template <typename T> class Box {
public:
        explicit Box(T first) {
                items.push_back(first);
        }
        ~Box() {
                items.clear();
        }
        void add(T t) {
                items.push_back(t);
        }
        size_t count() const {
                return items.size();
        }

private:
        std::vector<T> items;
};

static inline __attribute__((always_inline)) int *innermost(int x) {
        return new int(x);
}

static inline __attribute__((always_inline)) int *middle(int x) {
        return innermost(x + 1);
}

__attribute__((noinline)) int overloaded(int x) {
        std::unique_ptr<int> p(middle(x));
        return *p;
}

__attribute__((noinline)) int overloaded(const std::string &s) {
        std::unique_ptr<int> p(middle((int)s.size()));
        return *p;
}

struct Base {
        Base();
        virtual ~Base();
        virtual int run(int x) = 0;
        std::string name;
};

__attribute__((noinline)) Base::Base() : name("a name that does not fit into the small buffer of a string") {
}

__attribute__((noinline)) Base::~Base() {
}

struct Derived : Base {
        int run(int x) override;
};

__attribute__((noinline)) int Derived::run(int x) {
        Box<std::string> box(name);
        std::map<int, std::string> names;
        std::function<int(int)> f = [&](int y) {
                box.add(std::to_string(y));
                names[y] = name;
                return (int)box.count();
        };
        for (int i = 0; i < x; i++)
                f(i);
        if (x > 1000)
                throw std::string("far too many");
        return (int)names.size();
}

} // namespace v1
} // namespace outer

namespace {
__attribute__((noinline)) int hidden(int x) {
        std::vector<int> v(x, 1);
        std::sort(v.begin(), v.end());
        return v.empty() ? 0 : v[0];
}
} // namespace

int main(int argc, char **) {
        outer::Derived d;
        try {
                printf("%d\n", d.run(argc) + outer::overloaded(argc) + outer::overloaded("x") + hidden(argc));
        } catch (const std::string &s) {
                puts(s.c_str());
        }
        return 0;
}
